import { dirname } from 'node:path'
import type { JobSpec } from '../port.ts'
import { folderVariable } from './table.ts'

/** The PATH of a job. The folder of the running node is first, so that `node` is always found. */
const searchPath = `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`

/** The first process of an attempt: sh -c OUTER sh <folder> <command…>. It runs beside the command and outlives this
 *  program.
 *  - It writes process.json before it starts the command. `ln` succeeds once, so of several wrappers one starts the
 *    command, and a process that runs is never unknown.
 *  - It looks for a verdict after that; the writer of a verdict looks for the process after writing. One of the two
 *    finds the other.
 *  - It survives a SIGTERM to the group, to write the exit code of the command (`trap :`, unlike `trap ''`, is not
 *    inherited).
 *  - The log belongs to the command: messages of the shell itself (that a child was killed) are dropped.
 *  - Channel 3 reports a missing program. Exit code 127 alone does not show that, because programs use it too. */
const OUTER = `
folder=$1; shift
exec 4>&2 2> /dev/null
umask 022
ulimit -c 0
trap : HUP INT TERM QUIT
read -r stat < /proc/$$/stat
read -r boot < /proc/sys/kernel/random/boot_id
start_time() { shift 19; echo "$1"; }
start=$(start_time \${stat##*) })
draft="$folder/process.$$"
echo "{\\"pid\\":$$,\\"startTime\\":$start,\\"bootId\\":\\"$boot\\"}" > "$draft" || exit 1
ln "$draft" "$folder/process.json" 2> /dev/null; claimed=$?
rm -f "$draft"
[ $claimed = 0 ] || exit 0
[ -e "$folder/verdict.json" ] && exit 0
"$@" 2>&4 3> "$folder/missing" 4>&-
echo $? > "$folder/exit.draft" && mv "$folder/exit.draft" "$folder/exit"
`

/** The last step before the command, as its user and in its environment: it checks that the program exists. */
const INNER = `
program=$1
runs() { [ -f "$1" ] && [ -x "$1" ]; }
look() {
  case $program in */*) runs "$program"; return;; esac
  IFS=:
  for place in $PATH; do runs "\${place:-.}/$program" && return; done
  return 1
}
(look) && exec "$@" 3>&-
echo "$program" >&3
exit 127
`

/** Returns the whole environment of a job. Of this program's own it holds only the folder of node, in PATH. */
export const jobEnvironment = (folder: string, spec: JobSpec): readonly string[] => [
  ...Object.entries({
    PATH: searchPath,
    HOME: `${folder}/work`,
    LANG: 'C.UTF-8',
    ...spec.environment,
    NEURALMESH_JOB: `${spec.jobId}.${spec.attempt}`,
  }).map(([name, value]) => `${name}=${value}`),
  `${folderVariable}=${folder}`,
]

/** Returns what to spawn: the wrapper in its own environment, which no variable of the job (LD_PRELOAD) reaches;
 *  then `prefix`, the programs that set limits; then the job's environment and the command. */
export const wrapperCommand = (
  folder: string,
  spec: JobSpec,
  prefix: readonly string[],
): { file: string; args: string[]; env: Record<string, string> } => ({
  file: '/bin/sh',
  args: [
    ...['-c', OUTER, 'sh', folder],
    ...prefix,
    ...['env', '-i', ...jobEnvironment(folder, spec)],
    ...['/bin/sh', '-c', INNER, 'sh', ...spec.command],
  ],
  env: { PATH: searchPath, [folderVariable]: folder },
})
