import { dirname } from 'node:path'
import { machinePath, quoted } from '../../system/shell.ts'
import type { JobOutcome, JobSpec } from '../port.ts'
import type { IsolationKind } from './isolation.ts'
import { homeOf } from './jail.ts'
import { KILL_USER } from './kill-user.ts'
import { folderVariable } from './table.ts'
import { claimsName } from './uids.ts'
import { watchesMax } from './watches.ts'

const blockBytes = 512
const guardSeconds = 5
/** How long the output of a job is read on once no process of it runs. */
const readSeconds = 5
const tooManyWatches: JobOutcome = {
  ...{ ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' },
  message: `It has more than ${watchesMax} watches of epoll and inotify, or hides them.`,
}

/** The PATH of a job. The folder of the running node is first, so that `node` is always found. */
const searchPath = `${dirname(process.execPath)}:${machinePath}`

/** The first process of an attempt, outside its walls:
 *  sh -c OUTER sh <folder> <owner> <seconds> <verdict> <grace> <blocks> <kind> <command…>.
 *  It runs beside the command and outlives this program.
 *  - It writes process.json before it starts the command. `ln` succeeds once, so of several wrappers one starts the
 *    command, and a process that runs is never unknown.
 *  - It looks for a verdict after that; the writer of a verdict looks for the process after writing, and sends it
 *    SIGTERM. One of the two finds the other.
 *  - Its own verdict is written before the start too: at the timeout the disk may be full, and a link takes no room.
 *  - It alone carries a verdict out: one SIGTERM to all processes of the attempt, the grace, then SIGKILL. A job over
 *    its memory, output or disk gets no grace. After so many seconds it passes the verdict of its arguments itself.
 *  - The output goes through a pipe to `cat`, which writes at most so many blocks of 512 bytes; the job cannot reach the
 *    file.
 *  - The command has its own session. All else in the session of this process belongs to the wrapper.
 *  - The exit code is written over what stands in its file, which takes no room on a full disk.
 *  - Channel 3 reports a missing program. Exit code 127 alone does not show that, because programs use it too.
 *    Channel 5 has the program and its environment, which stand on no command line.
 *  - An exit code shows also that none of the job's processes is left, where it has a user of its own. That the command is
 *    over shows before: the end of the others may take its time. */
const OUTER = `
folder=$1 owner=$2 seconds=$3 sentence=$4 grace=$5 blocks=$6 kind=$7; shift 7
exec 2> /dev/null
umask 022
ulimit -c 0
[ "$kind" != uid ] || exec 9< ${quoted(process.execPath)}
trap : HUP INT QUIT TERM USR1 USR2
read -r stat < /proc/$$/stat
read -r boot < /proc/sys/kernel/random/boot_id
start_time() { shift 19; echo "$1"; }
start=$(start_time \${stat##*) })
draft="$folder/process.$$" late="$folder/verdict.$$"
echo "$sentence" > "$late" && echo "{\\"pid\\":$$,\\"startTime\\":$start,\\"bootId\\":\\"$boot\\"}" > "$draft" || {
  rm -f "$draft" "$late"
  exit 1
}
ln "$draft" "$folder/process.json"; claimed=$?
rm -f "$draft"
[ $claimed = 0 ] || { rm -f "$late"; exit 0; }
mv "$late" "$folder/verdict.late"
[ -e "$folder/verdict.json" ] && exit 0

# The processes of the job's user that run. They cannot change their user, nor signal this shell.
owned() {
  for found in $(echo /proc/[0-9]*/status | xargs grep -l -E "^Uid:[[:space:]]+$owner[[:space:]]"); do
    found=\${found%/status}
    grep -q -E '^State:[[:space:]]+[ZX]' "$found/status" || echo "\${found#/proc/}"
  done
}
tree() { for kid in $(cat /proc/$1/task/*/children); do echo $kid; tree $kid; done; }
inner() { read -r init _ < /proc/$child/task/$child/children; echo $init; }
term() {
  case $kind in
    uid) kill -s TERM $(owned);;
    none) kill -s TERM $(tree $child) $child;;
    *) kill -s TERM $(inner);;
  esac
}
${KILL_USER}
# Kills all processes of the job's user, those too that are not seen. Until it can, there is nothing else to do here.
sweep() {
  until kill_user "$owner" "$folder/../${claimsName}"; do
    kill -s KILL $(owned)
    sleep 1
  done
}
slay() {
  case $kind in
    uid) sweep;;
    none) kill -s KILL $(tree $child) $child;;
    *) kill -s KILL $(inner) $child;;
  esac
}
# Removes what outlives processes where they share the machine's: segments, message queues and semaphores of System V.
forget() {
  {
    while read -r _ id _ _ _ _ _ user _ maker _; do ours -m$id; done < /proc/sysvipc/shm
    while read -r _ id _ _ _ _ _ user _ maker _; do ours -q$id; done < /proc/sysvipc/msg
    while read -r _ id _ _ user _ maker _; do ours -s$id; done < /proc/sysvipc/sem
  } | xargs -r ipcrm
}
ours() { [ "$user" != "$owner" ] && [ "$maker" != "$owner" ] || echo $1; }
# Sends this shell a signal after some seconds: later <signal> <seconds>.
later() {
  (trap : USR1 USR2; sleep "$2" & wait $!; kill -s "$1" $$) &
}
# Ends such a timer with its sleep. It is stopped first, so that it starts nothing between the look and the kill.
cancel() { kill -s STOP $1; kill -s KILL $(tree $1) $1; }
stopping=
stop() {
  [ -z "$stopping" ] || return 0
  stopping=1
  later USR2 "$grace"
  pause=$!
  term
}
look() {
  [ -e "$folder/verdict.json" ] || return 0
  case $(head -c 300 "$folder/verdict.json") in
    *'"failed"'*JOB_TIMED_OUT*) stop;;
    *'"failed"'*) slay;;
    *) stop;;
  esac
}
late() {
  alarm=
  ln "$folder/verdict.late" "$folder/verdict.json"
  stop
}

# Finds the thread that shows the open files of a process: the first one, or another where that has ended. Is false where
# none that runs can be read.
at() {
  for thread in /proc/$1/task/$1 /proc/$1/task/*; do
    field State $thread
    case $value in ''|Z|X) ;; *) return 0;; esac
  done
  return 1
}
field() {
  value=
  while read -r name value _; do [ "$name" != $1: ] || return 0; done < $2/status
  value=
}
# A process that ends, or has ended, hides nothing: it has no memory any more.
hides() {
  if at $1; then [ ! -x $thread/fdinfo/ ] && field VmSize $thread && [ -n "$value" ]
  else field Threads /proc/$1; [ "\${value:-0}" -gt 1 ]
  fi
}
# Counts the watches of epoll and inotify while the platform that started this is gone. Where a job is the user of the
# platform, one without watches cannot start again.
guard() {
  closed=0
  while sleep ${guardSeconds}; do
    read -r stat < /proc/$$/stat
    set -- \${stat##*) }
    [ "$2" != "$PPID" ] || continue
    kids=$(tree $child)
    hidden=
    for kid in $kids; do ! hides $kid || hidden=$kid; done
    if [ -n "$hidden" ]; then closed=$((closed + 1)); else closed=0; fi
    count=$(for kid in $kids; do at $kid; (cd $thread/fdinfo && exec cat *); done |
      grep -E -c -m ${watchesMax + 1} '^(tfd|inotify wd):')
    [ $count -gt ${watchesMax} ] || [ $closed -gt 1 ] || continue
    echo '${JSON.stringify(tooManyWatches)}' > "$folder/verdict.guard" && ln "$folder/verdict.guard" "$folder/verdict.json"
    rm -f "$folder/verdict.guard"
    kill -s TERM $$
  done
}

rm -f "$folder/output"
mkfifo -m 600 "$folder/output" || exit 1
[ -z "$owner" ] || chown -h "$owner:$owner" "$folder/output" || exit 1
(ulimit -f "$blocks"; exec cat) < "$folder/output" >> "$folder/output.log" &
reader=$!
setsid "$@" > "$folder/output" 2>&1 3> "$folder/missing" 5< "$folder/program" 9<&- &
child=$!
trap look TERM
trap late USR1
trap 'pause=; slay' USR2
later USR1 "$seconds"
alarm=$!
guarding=
case $kind in bubblewrap|user-namespaces) guard & guarding=$!;; esac
look
while :; do
  wait $child; status=$?
  kill -s 0 $child || break
done
trap : TERM USR1 USR2
for timer in $alarm $pause $guarding; do cancel $timer; done
if [ "$kind" = uid ]; then
  printf "" > "$folder/over"
  sweep
  forget
fi
# Another job may have the pipe open: what this one has written is read by then.
trap 'kill -s KILL $reader' USR1
later USR1 ${readSeconds}
alarm=$!
[ "$kind" = none ] || wait $reader
trap : USR1
cancel $alarm
echo $status 1<> "$folder/exit.draft" && mv "$folder/exit.draft" "$folder/exit"
wait $reader
`

/** The last step before the command, as its user: it reads the environment and the command from channel 5, and checks
 *  that the program exists. The variables of this shell are those of the job, so it assigns none outside of `look`, which
 *  has a process of its own. */
const INNER = `
cd "$0" || exit 126
eval "$(cat <&5)"
exec 5<&-
runs() { [ -f "$1" ] && [ -x "$1" ]; }
look() {
  case $1 in */*) runs "$1"; return;; esac
  IFS=:
  for place in $PATH; do runs "\${place:-.}/$1" && return; done
  return 1
}
(look "$1") && begin "$@" 3>&-
echo "program $1" >&3
exit 127
`

/** Names that shells assign, refuse or compute themselves: those of POSIX, dash, bash and ksh. */
const shellNames =
  /^(_|BASH.*|COMP_WORDBREAKS|DIRSTACK|EPOCH(REALTIME|SECONDS)|EUID|EXECIGNORE|FUNCNAME|GROUPS|HISTCMD|KSH_VERSION|LINENO|OLDPWD|OPT(ARG|ERR|IND)|PIPESTATUS|POSIXLY_CORRECT|PPID|PS\d|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|SRANDOM|UID)$/

/** Returns the job's whole environment and its command as a script of the shell. Of this program's own environment it
 *  holds only the folder of node, in PATH. */
export const programScript = (folder: string, kind: IsolationKind, spec: JobSpec): string => {
  const environment = {
    PATH: searchPath,
    HOME: homeOf(kind, folder),
    LANG: 'C.UTF-8',
    ...spec.environment,
    NEURALMESH_JOB: `${spec.jobId}.${spec.attempt}`,
    [folderVariable]: folder,
  }
  const variables = Object.entries(environment).map(([name, value]) => ({ name, word: `${name}=${quoted(value)}` }))
  const exports = variables
    .filter(({ name }) => !shellNames.test(name))
    .map(({ word }) => `command export ${word}\n`)
    .join('')
  // Another program sets these last. They stand on its command line for a moment; no secret has such a name.
  const words = variables.filter(({ name }) => shellNames.test(name)).map(({ word }) => ` ${word}`)
  const begin = words.length === 0 ? 'exec' : `exec /usr/bin/env${words.join('')}`
  return `${exports}begin() { ${begin} "$@"; }\nset -- ${spec.command.map(quoted).join(' ')}\n`
}

export type WrapperOptions = {
  readonly folder: string
  readonly kind: IsolationKind
  /** The user of the attempt, when it has one of its own. */
  readonly uid: number | undefined
  /** After so many seconds the wrapper itself passes this verdict. */
  readonly seconds: number
  readonly verdict: JobOutcome
  readonly graceSeconds: number
  readonly outputBytesMax: number
  /** The words before the command: what limits and isolates it. */
  readonly prefix: readonly string[]
}

/** Returns what to spawn: the wrapper in its own environment, which no variable of the job (LD_PRELOAD) reaches; then
 *  the words that limit and isolate, then the last step before the command. */
export const wrapperCommand = (
  options: WrapperOptions,
): { file: string; args: string[]; env: Record<string, string> } => {
  const { folder, kind, uid, seconds, verdict, graceSeconds, outputBytesMax, prefix } = options
  return {
    file: '/bin/sh',
    args: [
      ...['-c', OUTER, 'sh', folder, String(uid ?? ''), String(seconds), JSON.stringify(verdict)],
      ...[String(graceSeconds), String(Math.ceil((outputBytesMax + 1) / blockBytes)), kind],
      ...prefix,
      ...['/bin/sh', '-c', INNER, homeOf(kind, folder)],
    ],
    env: { PATH: searchPath, [folderVariable]: folder },
  }
}
