# shellcheck shell=bash
# Jobs of tests/run, to be sourced: commands of which two at most run at the same time, counted in the order in which they came.
#
# A job belongs to a suite and has a text; when its turn has come, and it has ended, "count_HOW SUITE TEXT LOG STATUS COMMAND"
# is called with all that it wrote in the file LOG, in the directory $tmp of who sources this.

jobs_at_once=$(($(nproc) > 1 ? 2 : 1))
how=() suite_of=() text=() command=() # of each job
turn=0                                # the job to be counted next
running=()                            # the jobs, by process id
declare -A ended began last           # a job's status; when the first of a suite began, and the last one ended

add_job() { how+=("$1") suite_of+=("$2") text+=("$3") command+=("$4"); }

count_jobs() {
    for (( ; turn < ${#how[@]}; turn++)); do
        [ -n "${ended[$turn]:-}" ] || return 0
        # shellcheck disable=SC2154 # of who sources this
        "count_${how[turn]}" "${suite_of[turn]}" "${text[turn]}" "$tmp/$turn" "${ended[$turn]}" "${command[turn]}"
    done
}

# settle N: until at most N jobs run. What has ended, and is next, is counted.
settle() {
    local pid job status
    while [ ${#running[@]} -gt "$1" ]; do
        # it knows nothing of one that was killed before; so all are looked at
        wait -n "${!running[@]}" 2>/dev/null
        for pid in "${!running[@]}"; do
            ! kill -0 "$pid" 2>/dev/null || continue
            job=${running[pid]} status=0
            wait "$pid" || status=$?
            unset "running[$pid]"
            ended[$job]=$status
            # shellcheck disable=SC2034 # for who sources this
            last[${suite_of[job]}]=$SECONDS
        done
        count_jobs
    done
}

# beside HOW SUITE TEXT COMMAND...: a job that does not mind another one on the machine.
beside() {
    local job=${#how[@]}
    settle $((jobs_at_once - 1))
    add_job "${@:1:4}"
    began[$2]=${began[$2]:-$SECONDS}
    shift 3
    # a session of its own, to be ended as a whole; its first process ends with this script, whatever that dies of
    setsid setpriv --pdeathsig TERM "$@" >"$tmp/$job" 2>&1 </dev/null &
    running[$!]=$job
}

# alone HOW SUITE TEXT COMMAND...: the same for what measures time, or keeps all processors busy.
alone() {
    settle 0
    beside "$@"
    settle 0
}

# mark HOW SUITE: when its turn has come count_HOW is called; there is no command.
mark() {
    ended[${#how[@]}]=0
    add_job "$1" "$2" '' ''
    count_jobs
}

# end_jobs: what still runs does not outlive this script; a VM goes with its tests/vm/run.
end_jobs() {
    local pid
    for pid in "${!running[@]}"; do kill -TERM -- "-$pid" "$pid"; done 2>/dev/null
    wait
}
