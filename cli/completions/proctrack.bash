# SPDX-License-Identifier: Apache-2.0
# Completion of proctrack(1) for bash. Subcommands and options are read out of --help, so they are those
# of the proctrack that is called; block ids come from the broker, and there are none where it is not.

# Asks the proctrack of the line, at the broker that the line names.
_proctrack_ask()
{
    local option broker=()
    for option in runtime-dir endpoint curve-secret curve-server; do
        [[ $COMP_LINE =~ " --$option"[=\ ]+([^ ]+) ]] && broker+=("--$option=${BASH_REMATCH[1]}")
    done
    "${COMP_WORDS[0]}" "$@" "${broker[@]}" 2>/dev/null </dev/null
}

# Replies with those of the words that begin as $cur does.
_proctrack_reply()
{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# Replies with what may stand where the help has $1.
_proctrack_value()
{
    case $1 in
    *BLOCK* | ID) _proctrack_reply "$(_proctrack_ask ls -q --timeout-ms=500)" ;;
    SIGNAL) _proctrack_reply "$(kill -l | grep -o 'SIG[A-Z0-9+-]*')" ;;
    NAME) _proctrack_reply "process-added process-exec process-changed process-exited process-escaped
                            block-added block-changed block-resync block-removed block-mark" ;;
    ORDER) _proctrack_reply "birth memory cpu processes command" ;;
    DIR) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    FILE | ARGS) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    COMMAND) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    esac
}

_proctrack()
{
    local cur=${COMP_WORDS[COMP_CWORD]} name=${COMP_WORDS[1]} help line words i option='' at=0
    local -A takes=() # what each option takes, by its name and its letter
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _proctrack_reply "--help --version $(_proctrack_ask --help | sed -nE 's/^  ([a-z]+) .*/\1/p')"
        return
    fi
    help=$(_proctrack_ask "$name" --help) || return
    while IFS= read -r line; do
        [[ $line =~ ^\ {2,6}(-([A-Za-z]),\ )?--([a-z-]+)(=([^ ]+))?( |$) ]] || continue
        takes[--${BASH_REMATCH[3]}]=${BASH_REMATCH[5]}
        [[ ${BASH_REMATCH[2]} ]] && takes[-${BASH_REMATCH[2]}]=${BASH_REMATCH[5]}
    done <<<"$help"

    # Where on the line this is: behind an option that waits for its value, or at which of the words.
    for ((i = 2; i < COMP_CWORD; i++)); do
        line=${COMP_WORDS[i]}
        if [[ $line == -- && ! $option ]]; then
            takes=() at=$((at + COMP_CWORD - i - 1))
            break
        elif [[ $line == = ]]; then
            continue
        elif [[ $option ]]; then
            option=''
        elif [[ $line == -* ]]; then
            [[ ${takes[$line]} ]] && option=$line
        else
            ((++at))
            [[ $name == run ]] && takes=() && at=$((COMP_CWORD - i)) && break
        fi
    done
    [[ $cur == = ]] && cur=''
    if [[ $option ]]; then
        _proctrack_value "${takes[$option]}"
    elif [[ $cur == -* ]]; then
        _proctrack_reply "${!takes[*]}"
        line=${COMPREPLY[0]}
        if [[ ${#COMPREPLY[@]} == 1 && $line == --* && ${takes[$line]} ]]; then
            COMPREPLY=("$line=")
            compopt -o nospace
        fi
    else
        line=${help%%$'\n'*} # usage: proctrack kill [OPTIONS] BLOCK [PID]
        read -ra words <<<"${line##*\[OPTIONS\]}"
        [[ ${words[0]} == '[--]' ]] && words=("${words[@]:1}")
        ((${#words[@]})) || return
        [[ ${words[-1]} == *... || $name == run ]] && ((at >= ${#words[@]})) && at=$((${#words[@]} - 1))
        words=("${words[@]#[}")
        _proctrack_value "${words[at]%%]*}"
    fi
} && complete -F _proctrack proctrack
