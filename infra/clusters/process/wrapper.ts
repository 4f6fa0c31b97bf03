import { dirname } from 'node:path'
import type { JobSpec } from '../port.ts'
import { folderVariable } from './table.ts'

/** Where a job finds its programs. The folder of the running node comes first, so that `node` is always there. */
const searchPath = `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`

/** The first process of an attempt: sh -c OUTER sh <folder> <command…>. It stays beside the command and outlives this program.
 *  - It writes down itself before it starts anything. `ln` succeeds once, so of several wrappers one starts the command,
 *    and a process that runs is never unknown.
 *  - It looks for a verdict after that, and who passes one looks for the process after that: one of the two sees the other.
 *  - It survives a SIGTERM to the group, to say how the command took it (`trap :` unlike `trap ''` is not inherited).
 *  - The log belongs to the command: what the shell itself has to say (that a child was killed) goes nowhere.
 *  - Channel 3 tells about a missing program, which exit code 127 alone does not: programs use it too. */
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

/** The last step before the command, under its own user and in its own environment: is there such a program? */
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

/** The whole environment of a job. Nothing comes from this program's own but the place of its node. */
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

/** What to spawn: the wrapper in an environment of its own, so that nothing a job asks for (LD_PRELOAD) reaches it;
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
