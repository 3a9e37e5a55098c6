#compdef scxhost
# SPDX-License-Identifier: GPL-2.0-only
#
# Completion of scxhost for zsh. What may follow, scxhost says.

_scxhost() {
	local -a answer ended open
	local line word
	answer=("${(@f)$(command "${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
	for line in "${(@)answer[2,-1]}"; do
		word=${line%%$'\t'*}
		# What ends so goes on.
		if [[ $word == *[=.] ]]; then
			open+=("${word//:/\\:}:${line#*$'\t'}")
		else
			ended+=("${word//:/\\:}:${line#*$'\t'}")
		fi
	done
	local ret=1
	(($#ended)) && _describe scxhost ended && ret=0
	(($#open)) && _describe scxhost open -S '' && ret=0
	[[ $PREFIX == --*=* && $answer[1] != none ]] && compset -P 1 '*='
	case $answer[1] in
	folders) _files -/ && ret=0 ;;
	files) _files && ret=0 ;;
	schedulers) _files -g '*.(toml|o|so)' && ret=0 ;;
	esac
	return ret
}

# Found by name, this file is the function's body; sourced, it tells of the function.
if [[ $funcstack[1] == _scxhost ]]; then
	_scxhost "$@"
else
	compdef _scxhost scxhost
fi
