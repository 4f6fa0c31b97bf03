/** Jobs that attack the platform, the machine and each other. Each prints BREACH and what it has reached, and at its end
 *  `done`. The variables of all of them: PLATFORM and VICTIM (process ids as the machine counts them), KEYS (a file of the
 *  platform), INSTALLATION (the folder of all that is of the platform), FOLDER (the folder of the other job), OUTSIDE (a
 *  folder of the machine). */
import type { JobSpec } from '../../infra/clusters/port.ts'
import type { IsolationKind } from '../../infra/clusters/process.ts'

export const marker = process.env.SECRET_OF_THE_PLATFORM ?? 'hostile-secret'
export const diskBytesMax = 8 * 1024 ** 2
export const outputBytesMax = 1024 ** 2
/** Files of an installation that hold secrets, each readable by all when the platform starts. */
export const secretFiles = ['project/.env', 'project/.env.production', 'given.env', 'data/keys/jwt', 'data/keys/old']
/** An argument by which the processes of an attack are counted on the machine. */
export const napSeconds = 50_000 + (process.pid % 40_000)

export type Attack = {
  readonly name: string
  readonly spec: Partial<JobSpec>
  /** How the attempt must end; undefined: in any way. */
  readonly ends?: object
  /** Ways to isolate that do not promise this. */
  readonly notPromised?: readonly IsolationKind[]
  /** Why it cannot be tried here. */
  readonly leftOut?: string | undefined
}

const shell = (script: string): readonly string[] => ['sh', '-c', `${script}\necho done`]
const well = { ended: 'exited', exitCode: 0 }

const readable = (path: string) =>
  `tr '\\0' '\\n' < ${path} > text 2> /dev/null && grep -q '${marker}\\|:\\$' text && echo 'BREACH ${path}'`

const reads: Attack[] = [
  {
    name: 'reads what is not its own',
    spec: {
      command: shell(
        [
          ...['"$KEYS"', '/proc/1/environ', '/proc/$PLATFORM/environ', '/proc/$PLATFORM/root$KEYS'],
          ...['/proc/$VICTIM/environ', '/proc/$VICTIM/cwd/secret', '"$FOLDER/work/secret"', '"$FOLDER/spec.json"'],
          ...secretFiles.map((name) => `"$INSTALLATION/${name}"`),
          ...['"$FOLDER/program"', '"$FOLDER/output.log"', '../spec.json', '../output.log', '/etc/shadow'],
        ]
          .map(readable)
          .join('\n'),
      ),
    },
    ends: well,
  },
  {
    name: 'reads the command line of the platform',
    spec: { command: shell(readable('/proc/$PLATFORM/cmdline')) },
    ends: well,
    // Linux shows command lines to every user.
    notPromised: ['uid'],
  },
]

const writes: Attack[] = [
  {
    name: 'writes what is not its own',
    spec: {
      command: shell(
        ['$OUTSIDE/x', '$FOLDER/work/x', '$FOLDER/exit', '../exit', '../verdict.json', '/etc/x']
          .map((path) => `(echo '{"ended":"stopped"}' > "${path}") 2> /dev/null && echo 'BREACH ${path}'`)
          .join('\n'),
      ),
    },
    ends: well,
  },
]

const planted = ['exit', 'verdict.json', 'process.json', 'missing', 'output.log', 'spec.json']
const plants: Attack[] = [
  ['links', 'ln -sfn /dev/zero'],
  ['pipes', 'rm -f "../$name"; mkfifo'],
  ['folders', 'rm -f "../$name"; mkdir'],
].map(([what, make]) => ({
  name: `plants ${what} in the folder above`,
  spec: {
    command: shell(
      `for name in ${planted.join(' ')}; do (${make} "../$name") 2> /dev/null && echo "BREACH $name"; done; :`,
    ),
  },
  ends: well,
}))

const names = ['setpriv', 'unshare', 'mount', 'cat', 'kill', 'sleep', 'head', 'ln', 'chown', 'mkfifo', 'setsid', 'env']
const evil = '#!/bin/sh\ntouch "$HOME/ran"\n'
const environments: Attack[] = Object.entries({
  PATH: '$HOME/bin:/usr/bin:/bin',
  LD_PRELOAD: '$HOME/bin/cat',
  LD_LIBRARY_PATH: '$HOME/bin',
  ENV: '$HOME/bin/cat',
  BASH_ENV: '$HOME/bin/cat',
  IFS: '/',
  UID: '0',
  NODE_OPTIONS: '--require=$HOME/bin/cat',
}).map(([name, value]) => ({
  name: `sets ${name} for what the wrapper runs`,
  spec: {
    environment: { [name]: value },
    files: names.map((program) => ({ path: `bin/${program}`, content: evil })),
    command: ['/bin/sh', '-c', '[ ! -e ran ] || echo BREACH; echo done'],
  },
  ends: well,
}))

/** Holds the attacks that share nothing with each other: they can run side by side. */
export const quickAttacks: readonly Attack[] = [...reads, ...writes, ...plants, ...environments]

/** Holds the attacks that run one after the other. */
export const slowAttacks: readonly Attack[] = [
  {
    name: 'looks for processes of others',
    spec: {
      command: shell(
        'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; done 2>&1 | grep -q "victim-[n]ap" && echo BREACH',
      ),
    },
    ends: well,
    notPromised: ['uid'],
  },
  {
    name: 'searches all files for the keys',
    spec: {
      command: shell(
        `find / -xdev -path "*/keys/jwt" -readable 2> /dev/null | xargs -r grep -l ${marker} | grep -q . && echo BREACH; :`,
      ),
    },
    ends: well,
  },
  {
    name: 'searches the installation for a secret',
    spec: {
      command: shell(
        `find "$INSTALLATION" -type f 2> /dev/null | while read -r f; do grep -l ${marker} "$f"; done 2> /dev/null | grep -q . && echo BREACH; :`,
      ),
    },
    ends: well,
  },
  {
    name: 'signals others',
    spec: {
      command: shell(
        'for p in $PLATFORM $VICTIM; do kill -s 0 $p 2> /dev/null && echo BREACH; done; trap : HUP; kill -s HUP -- -1',
      ),
    },
  },
  {
    name: 'keeps privileges, or makes a user namespace',
    spec: {
      command: shell(`grep -q 'NoNewPrivs:.1' /proc/self/status || echo BREACH privileges
grep -q 'CapEff:.0*$' /proc/self/status || echo BREACH capabilities
unshare --user true 2> /dev/null && echo BREACH namespace`),
    },
    ends: well,
    notPromised: ['uid'],
  },
  {
    name: 'leaves daemons',
    spec: {
      command: shell(
        `for way in setsid nohup "env -i setsid" "setsid nohup"; do ($way sh -c 'trap "" TERM HUP; sleep ${napSeconds} & wait' > /dev/null 2>&1 &); done; sleep 0.3`,
      ),
    },
    ends: well,
  },
  {
    name: 'forks without end',
    spec: {
      command: ['sh', '-c', `i=0; while [ $i -lt 3000 ]; do sleep ${napSeconds} & i=$((i + 1)); done; echo done`],
      timeoutSeconds: 5,
      graceSeconds: 0,
    },
  },
  {
    name: 'fills the disk',
    spec: { command: ['sh', '-c', 'i=0; while :; do head -c 1000000 /dev/zero > f$i || exit 1; i=$((i + 1)); done'] },
    ends: { ended: 'failed', code: 'JOB_DISK_EXCEEDED' },
  },
  {
    name: 'fills the disk with one file',
    spec: { command: shell('head -c 20000000 /dev/zero > f 2> /dev/null && echo BREACH') },
  },
  {
    name: 'hides what it writes in deep folders',
    spec: {
      command: shell('i=0; while [ $i -lt 400 ]; do mkdir d && cd d; i=$((i + 1)); done; exec sleep 20'),
    },
    ends: { ended: 'failed', code: 'JOB_DISK_EXCEEDED' },
  },
  {
    name: 'fills the shared memory',
    spec: { command: shell('head -c 400000000 /dev/zero > /dev/shm/f 2> /dev/null && echo BREACH; rm -f /dev/shm/f') },
    ends: well,
    notPromised: ['uid'],
  },
  {
    name: 'prints without end, and empties its log in between',
    spec: {
      command: ['sh', '-c', 'while :; do yes | head -c 200000; : > /dev/stdout; truncate -s 0 /proc/self/fd/1; done'],
    },
    ends: { ended: 'failed', code: 'JOB_OUTPUT_EXCEEDED' },
  },
  {
    name: 'stays where the machine has no memory left',
    spec: { command: shell('[ "$(cat /proc/self/oom_score_adj)" = 1000 ] || echo BREACH') },
    ends: well,
  },
  {
    name: 'names a program with every character',
    spec: { command: [`no\n"such'$(id)\u001b[31m${'x'.repeat(3000)}`] },
    ends: { ended: 'failed', code: 'JOB_COMMAND_NOT_FOUND' },
  },
]
