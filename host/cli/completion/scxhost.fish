# SPDX-License-Identifier: GPL-2.0-only
#
# Completion of scxhost for fish. What may follow, scxhost says.

function __scxhost_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer (command $words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    set -q answer[2]; and printf '%s\n' $answer[2..-1]
    set -l prefix
    if string match -q -- '--*=*' "$current"
        set prefix (string replace -r '=.*' '=' -- "$current")
        set current (string replace -r '[^=]*=' '' -- "$current")
    end
    switch "$answer[1]"
        case folders
            __fish_complete_path "$current" | string match -r '^[^\t]*/(?:\t.*)?$' | string replace -r '^' -- "$prefix"
        case files
            __fish_complete_path "$current" | string replace -r '^' -- "$prefix"
        case schedulers
            __fish_complete_path "$current" | string match -r '^[^\t]*(?:/|\.toml|\.o|\.so)(?:\t.*)?$' | string replace -r '^' -- "$prefix"
    end
end

complete -c scxhost -f -a '(__scxhost_complete)'
