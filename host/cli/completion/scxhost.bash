# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion of scxhost's words for bash: commands and options from the program's own help, plugins from its list, options
# of a scheduler after --set.

_scxhost_words() {
	# Option names and subcommands stand at the start of the help's lines.
	scxhost "$@" --help 2>/dev/null | sed '/^Examples/Q' | grep -oE '^  (-[a-zA-Z],)?(--[a-z-]+|[a-z]+)' | sed 's/^ *//; s/^-[a-zA-Z],//' | sort -u
}

# The scheduler that the line names: the first word after the command that is neither an option nor an option's value,
# or --object with its value.
_scxhost_what() {
	local i
	for ((i = 2; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		# Bash makes three words of KEY=VALUE and of --option=VALUE.
		=) ((++i)) ;;
		--object)
			if [[ ${COMP_WORDS[i + 1]} == = ]]; then ((++i)); fi
			echo "--object=${COMP_WORDS[i + 1]}"
			return
			;;
		--set | -s | --plugin-dir | --socket | --for | --interval) [[ ${COMP_WORDS[i + 1]} == = ]] || ((++i)) ;;
		-*) ;;
		*) echo "${COMP_WORDS[i]}" && return ;;
		esac
	done
}

_scxhost() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words=''
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		words=$(_scxhost_words)
	elif [[ $previous == --plugin-dir || $previous == --dir ]]; then
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
	elif [[ $previous == --socket || $previous == --object ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		compopt -o filenames
		return
	elif [[ $previous == --set || $previous == -s ]]; then
		words=$(scxhost options "$(_scxhost_what)" 2>/dev/null | awk '/^[a-z]/ { print $1 "=" }')
		compopt -o nospace
	elif [[ $current == -* ]]; then
		words=$(_scxhost_words "$command" | grep -e '^-')
	else
		case $command in
		run | check | swap | inspect | options)
			words=$(scxhost list 2>/dev/null | awk 'NR > 1 { print $1 }')
			mapfile -t COMPREPLY < <(compgen -f -X '!*.@(toml|o|so)' -- "$current"; compgen -d -S / -- "$current")
			;;
		esac
	fi
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _scxhost scxhost
