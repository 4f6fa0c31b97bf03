/** The file tree and the process table of an isolated attempt, and the words that make them. */
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Covers, coversOf } from './covers.ts'
import type { IsolationKind } from './isolation.ts'

/** What jobs see of the machine, read only, where it is there. */
const systemPaths = [
  ...['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc', '/opt', '/nix/store'],
  ...['/sys/devices', '/sys/class', '/sys/bus', '/sys/module', '/sys/dev'],
]
/** Those in which people keep files of their own. */
export const sharedFolders = ['/etc', '/opt', '/usr/local']
/** The job's own folder within its file tree. */
const jobHome = '/job'
const plainDevices = ['null', 'zero', 'full', 'random', 'urandom', 'tty']
const acceleratorPattern = /^(nvidia.*|kfd|dri|infiniband)$/
const sharedMemoryPart = 2

/** Limits what the processes of a namespace leave in memory without mapping it: segments, message queues and semaphores of
 *  System V, to so many MiB in $shared, 16 MiB and 32,000. Linux before 6.9 lets only root do so. $kernel is the folder of
 *  the settings. */
const LIMIT_IPC = `
page=$(getconf PAGESIZE) || page=4096
echo $((shared * 1048576 / page)) > "$kernel/shmall" || :
echo 1024 > "$kernel/msgmni" || :
echo 250 32000 100 1024 > "$kernel/sem" || :
`

/** Limits in a user namespace what Linux counts for its user, who is also that of the platform. */
const LIMIT_USER = `
echo 100000 > "\${kernel%/*}/user/max_inotify_watches" || :
echo 64 > "\${kernel%/*}/user/max_inotify_instances" || :
`

/** Process 1 of the attempt: sh -c SUPERVISE init <command…>. It passes one SIGTERM to all processes of the attempt, and
 *  ends with its command; then Linux ends all others. The command may see what it has open, and where it is the same user
 *  open that again, to write too: so it does not begin before the channels of the wrapper are closed here. */
const SUPERVISE = `
trap 'kill -s TERM -- -1' TERM
trap : HUP INT QUIT
(while [ -h /proc/1/fd/3 ] || [ -h /proc/1/fd/5 ]; do sleep 0.01; done; exec "$@") &
main=$!
exec 3>&- 5<&-
while :; do
  wait $main; status=$?
  kill -s 0 $main 2> /dev/null || exit $status
done
`

/** Builds the file tree of the attempt in a mount namespace and makes it the root, then supervises the command:
 *  sh -c BUILD init <folder> <node's folder> <MiB of shared memory> <devices> <count> <covered paths…> <count> <paths
 *  covered once node is shown…> <command…>.
 *  The command finds the tree at /jail: a root that is no root of its namespace may make no user namespace.
 *  Whatever fails is named on channel 3. */
const BUILD = `
exec 4>&2 2> /dev/null
trap 'exit 143' TERM
step=start
trap '[ "$step" = done ] || echo "setup $step" >&3' EXIT
set -e
folder=$1 node=$2 shared=$3 devices=$4 left=$5; shift 5
top=$folder/jail
jail=$top/jail
mount -t tmpfs -o mode=755,size=4m,nosuid jail "$top"
mkdir "$jail" "$top/old"
show() {
  [ -e "$1" ] || return 0
  mkdir -p "$jail\${1%/*}"
  if [ -L "$1" ]; then ln -s "$(readlink "$1")" "$jail$1"; return 0; fi
  if [ -d "$1" ]; then mkdir -p "$jail$1"; else : > "$jail$1"; fi
  step=$1
  mount --rbind "$1" "$jail$1"
}
for path in ${systemPaths.join(' ')}; do show "$path"; done
names=$(readlink -f /etc/resolv.conf) || names=
case $names in ''|/etc/*|/usr/*) ;; *) show "$names";; esac
step=hide
cover() {
  if [ -d "$jail$1" ]; then mount -t tmpfs -o mode=755,size=1m,nosuid jail "$jail$1"
  elif [ -e "$jail$1" ]; then mount --bind /dev/null "$jail$1"; fi
}
while [ "$left" -gt 0 ]; do cover "$1"; shift; left=$((left - 1)); done
mkdir -p "$jail/proc" "$jail/dev" "$jail/tmp" "$jail/var" "$jail/run"
# Before all that may lie below /tmp.
step=tmp
mount --bind "$folder/tmp" "$jail/tmp"
mount -o remount,bind,nosuid,nodev "$jail/tmp"
[ -e "$jail$node/node" ] || show "$node"
step=hide
left=$1; shift
while [ "$left" -gt 0 ]; do cover "$1"; shift; left=$((left - 1)); done
mkdir "$jail${jobHome}"
ln -s /tmp "$jail/var/tmp"
step=read-only
while read -r _ _ _ _ at _; do
  # Linux writes spaces as \\040.
  at=$(printf '%b' "$at")
  case $at in "$jail/tmp") ;; "$jail"/*)
    flags=remount,bind,ro,nosuid
    mount -o $flags "$at" || mount -o $flags,nodev "$at" || mount -o $flags,nodev,noexec "$at";;
  esac
done < /proc/self/mountinfo
step=devices
for path in $devices; do
  if [ -d "/dev/$path" ]; then mkdir "$jail/dev/$path"; else : > "$jail/dev/$path"; fi
  mount --rbind "/dev/$path" "$jail/dev/$path"
done
ln -s /proc/self/fd "$jail/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/\${number%:*}" "$jail/dev/\${number#*:}"; done
mkdir -m 1777 "$jail/dev/shm"
mount -t tmpfs -o "mode=1777,size=\${shared}m,nosuid,nodev" shm "$jail/dev/shm"
step=work
mount --bind "$folder/work" "$jail${jobHome}"
mount -o remount,bind,nosuid,nodev "$jail${jobHome}"
step=proc
mount -t proc -o nosuid,nodev,noexec proc "$jail/proc"
kernel=$jail/proc/sys/kernel
${LIMIT_IPC}
# As root there is no user namespace, and these are the settings of the machine.
read -r _ _ users < /proc/self/uid_map
if [ "$users" = 1 ]; then ${LIMIT_USER} fi
# The user who made the namespace could lift the limits again.
mount --bind "$jail/proc/sys" "$jail/proc/sys"
mount -o remount,bind,ro,nosuid,nodev,noexec "$jail/proc/sys"
step=root
for name in usr bin sbin lib lib32 lib64 libx32 etc nix proc dev; do
  [ ! -e "$jail/$name" ] || ln -s "jail/$name" "$top/$name"
done
cd "$top"
pivot_root . old
cd /
umount -l /old
rmdir /old
mount -o remount,bind,ro jail /
step=done
set +e
exec 2>&4 4>&-
trap - EXIT
${SUPERVISE}`

const unshared = ['--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child']
/** The user that a job sees itself as in a user namespace. */
const innerUser = 1000

export type JailOptions = {
  readonly kind: IsolationKind
  /** The folder of the attempt, with `work`, `tmp` and `jail` in it. */
  readonly folder: string
  /** The user of the attempt; undefined in user namespaces. */
  readonly uid: number | undefined
  readonly memoryMib: number
  /** Folders and files of the machine that the job does not see. */
  readonly hidden: readonly string[]
}

/** Returns the path by which a job knows its own folder. */
export const homeOf = (kind: IsolationKind, folder: string): string =>
  kind === 'uid' || kind === 'none' ? `${folder}/work` : jobHome

const dropTo = (uid: number | undefined): string[] =>
  uid === undefined
    ? []
    : [
        ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--no-new-privs'],
        ...['--inh-caps=-all', '--bounding-set=-all'],
      ]

/** Gives bubblewrap a namespace for shared memory with these limits: sh -c IPC sh <MiB of shared memory> <words…>.
 *  Where only bubblewrap itself may make a namespace, that one has none. */
const IPC = `
shared=$1; shift
within='unshare --user --map-root-user --ipc'
$within true 2> /dev/null || exec bwrap --unshare-ipc "$@"
exec $within /bin/sh -c '
shared=$0 kernel=/proc/sys/kernel
exec 4>&2 2> /dev/null
${LIMIT_IPC}${LIMIT_USER}
exec bwrap "$@" 2>&4 4>&-' "$shared" "$@"
`

const coverWords = ({ folders, files }: Covers): string[] => [
  ...folders.flatMap((path) => ['--tmpfs', path]),
  ...files.flatMap((path) => ['--ro-bind', '/dev/null', path]),
]

const bubblewrapWords = (
  { folder }: JailOptions,
  node: string,
  shared: string,
  { early, late }: { readonly early: Covers; readonly late: Covers },
): string[] => [
  ...['/bin/sh', '-c', IPC, 'sh', shared],
  ...['--unshare-user', '--unshare-pid', '--unshare-uts', '--die-with-parent', '--as-pid-1', '--disable-userns'],
  ...['--uid', String(innerUser), '--gid', String(innerUser), '--cap-drop', 'ALL'],
  ...systemPaths.flatMap((path) => ['--ro-bind-try', path, path]),
  ...coverWords(early),
  ...['--bind', `${folder}/tmp`, '/tmp', '--ro-bind', node, node],
  ...coverWords(late),
  ...['--proc', '/proc', '--dev', '/dev'],
  // The user who made the namespace could lift the limits again.
  ...['--ro-bind', '/proc/sys', '/proc/sys'],
  ...['--bind', `${folder}/work`, jobHome],
  ...['--symlink', '/tmp', '/var/tmp', '--dir', '/run'],
  ...accelerators().flatMap((name) => ['--dev-bind-try', `/dev/${name}`, `/dev/${name}`]),
  // Its root is memory that no limit counts.
  ...['--remount-ro', '/'],
]

const accelerators = (): string[] => readdirSync('/dev').filter((name) => acceleratorPattern.test(name))

/** Returns the words before a command that isolate it. `exists` returns whether a path of the machine is there. */
export const jailWords = (options: JailOptions, exists: (path: string) => boolean): readonly string[] => {
  const { kind, folder, uid, memoryMib } = options
  const hidden = options.hidden.filter((path) => path !== process.execPath)
  const node = dirname(process.execPath)
  const withParent = ['setpriv', '--pdeathsig', 'KILL']
  const shared = String(Math.ceil(memoryMib / sharedMemoryPart))
  const devices = [...plainDevices.filter((name) => exists(`/dev/${name}`)), ...accelerators()].join(' ')
  const follows = kind === 'bubblewrap'
  // The folder of node is shown last, and may lie in a folder that is covered.
  const [early, late] = [coversOf(hidden, systemPaths, follows), coversOf(hidden, [node], true)]
  const covered = [early, late].flatMap(({ folders, files }) => [
    String(folders.length + files.length),
    ...[...folders, ...files],
  ])
  const build = ['/bin/sh', '-c', BUILD, 'init', folder, node, shared, devices, ...covered]
  switch (kind) {
    case 'root-namespaces':
      return [...[...withParent, 'unshare', ...unshared], ...[...build, 'chroot', '/jail', ...dropTo(uid)]]
    case 'user-namespaces':
      return [
        ...[...withParent, 'unshare', '--user', '--map-root-user', ...unshared],
        ...build,
        ...['unshare', '--user', `--map-user=${innerUser}`, `--map-group=${innerUser}`, '--root=/jail'],
        ...['setpriv', '--no-new-privs'],
      ]
    case 'bubblewrap':
      return [...bubblewrapWords(options, node, shared, { early, late }), ...['/bin/sh', '-c', SUPERVISE, 'init']]
    case 'uid':
      return dropTo(uid)
    case 'none':
      return []
  }
}
