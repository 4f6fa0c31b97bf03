/** A platform of its own on which a job reaches for files that are not its own, run as root and as an ordinary user:
 *  node testing/programs/reach.ts <folder> <isolation> <look | swaps | descriptors>. Prints what came of it as a line of
 *  JSON. */
import { randomUUID } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { JobOutcome } from '../../infra/clusters/port.ts'
import { removeFilesOf } from '../../infra/clusters/process.testing.ts'
import { type IsolationKind, processCluster } from '../../infra/clusters/process.ts'
import { closeInherited } from '../../infra/system/inherited.ts'

// As the platform does.
closeInherited()

const [, , folder = '', only = '', what] = process.argv
const print = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`)
const root = join(folder, 'jobs')
await mkdir(root, { recursive: true })
const cluster = processCluster({
  ...{ root, only: only as IsolationKind, graceMs: 300 },
  trust: only === 'none' ? 'own' : 'strangers',
})
const { kind, reasons } = await cluster.isolation()

const launch = async (command: readonly string[]) => {
  const { promise: end, resolve } = Promise.withResolvers<JobOutcome>()
  const spec = {
    ...{ jobId: `job-${randomUUID()}`, attempt: 1, command, files: [], timeoutSeconds: 120 },
    ...{ cpuCores: 2, memoryMib: 512, environment: {} },
  }
  await cluster.launch(spec, { started: () => undefined, progressed: () => undefined, ended: resolve })
  return { end, folder: join(root, spec.jobId, '1'), text: async () => (await cluster.readLog(spec, 0, 100_000)).text }
}

/** Makes folders that are closed, and swaps a file and a folder in each for links to others, again and again, until the
 *  folder is removed: renameat2 with RENAME_EXCHANGE. */
const swapper = `
use strict; use warnings; use Fcntl; $| = 1; umask 0;
my ($file, $tree) = @ARGV;
my $rename = qx(uname -m) =~ /aarch64/ ? 276 : 316;
for my $at (map { "d$_" } 1 .. 300) {
  mkdir $at; mkdir "$at/e"; mkdir "$at/e/e"; symlink $tree, "$at/m";
  for (1 .. 3) { sysopen(my $made, "$at/f$_", O_CREAT | O_WRONLY); chmod 06077, "$at/f$_"; symlink $file, "$at/l$_" }
  chmod 0300, "$at/e/e", "$at/e", $at;
}
opendir(my $list, '.'); my @order = grep { /^d/ } readdir $list;
print "ready\\n";
my ($until, $here, $index) = (time + 20, -100, 0);
while ($index < @order && time < $until) {
  # The platform is about to open the first folder that is still closed.
  for my $pair ([qw(f1 l1)], [qw(f2 l2)], [qw(f3 l3)], [qw(e m)]) {
    my ($one, $other) = map { "$order[$index]/$_" } @$pair;
    syscall($rename, $here, $one, $here, $other, 2);
  }
  while ($index < @order) { my @found = lstat $order[$index]; last if @found && !($found[2] & 0400); $index++ }
}
print "over\\n"; sleep 60;
`

/** Has the platform remove the files of a job that goes on changing them, and resolves to what became of files of the
 *  platform that the job's links name. */
const swaps = async () => {
  const [file, tree] = [join(folder, 'key'), join(folder, 'tree')]
  await writeFile(file, 'the key', { mode: 0o600 })
  await mkdir(join(tree, 'e'), { recursive: true })
  await writeFile(join(tree, 'e', 'kept'), '')
  await chmod(join(tree, 'e'), 0o500)
  await chmod(tree, 0o700)
  const job = await launch(['perl', '-e', swapper, file, tree])
  const over = job.end.then(() => true)
  while (!(await job.text()).includes('ready') && !(await Promise.race([over, delay(20)])));
  // What is added meanwhile is for the next time.
  for (let times = 0; times < 5; times++) await removeFilesOf(job.folder).catch(() => undefined)
  await cluster.close({ stopJobs: true })
  await removeFilesOf(job.folder)
  const modes = await Promise.all([file, tree, join(tree, 'e')].map(async (path) => (await stat(path)).mode & 0o7777))
  // Else an ordinary user could not remove it.
  await chmod(join(tree, 'e'), 0o700)
  return {
    ...{ modes: modes.map((mode) => mode.toString(8)), text: await readFile(file, 'utf8') },
    ...{ kept: await readdir(join(tree, 'e')), left: await readdir(job.folder) },
  }
}

/** Prints each plain file that any process it sees has open and that it may open to write. */
const descriptors = `
use strict; use warnings; use Fcntl;
for my $path (glob '/proc/[0-9]*/fd/*') {
  my ($name, $file) = readlink $path;
  next unless defined $name && sysopen($file, $path, O_WRONLY | O_APPEND | O_NONBLOCK);
  print "writable $name\\n" if -f $file; close $file;
}
print "looked\\n";
`
/** Has a job look for descriptors of the platform, and another one write that it was never built. */
const writes = async () => {
  const looker = await launch(['perl', '-e', descriptors])
  await looker.end
  const claim = 'for p in /proc/[0-9]*/fd/3; do [ $p = /proc/$$/fd/3 ] || echo "setup work" > $p; done; exit 0'
  const claimer = await launch(['sh', '-c', `(${claim}) 2> /dev/null; exit 0`])
  const outcome = await claimer.end
  return { text: await looker.text(), outcome, missing: (await stat(join(claimer.folder, 'missing'))).size }
}

print({ isolation: kind, reasons })
if (what === 'descriptors' && kind === only) print(await writes())
if (what === 'swaps' && kind === only) print(await swaps())
await cluster.close({ stopJobs: true })
