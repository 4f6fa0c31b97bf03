import { connect, type NetConnectOpts } from 'node:net'

const answerMsMax = 2_000

const addressOf = (host: string): NetConnectOpts | undefined => {
  if (!URL.canParse(host)) return undefined
  const { protocol, hostname, port, pathname } = new URL(host)
  if (protocol === 'unix:') return { path: pathname }
  return protocol === 'tcp:' ? { host: hostname, port: Number(port || 2375) } : undefined
}

/** Resolves to the reason why no container can be started here, or to undefined when one can. The program `docker` may
 *  be installed without its service, so this connects to the socket of the service.
 *  @param host is DOCKER_HOST, or the default socket of the service. */
export const whyNoDocker = async (
  host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock',
): Promise<string | undefined> => {
  const address = addressOf(host)
  if (!address) return `DOCKER_HOST ${host} is no address of Docker`
  return new Promise((resolve) => {
    const socket = connect({ ...address, timeout: answerMsMax })
    const answer = (why?: string) => {
      socket.destroy()
      resolve(why)
    }
    socket.once('connect', () => answer())
    socket.once('timeout', () => answer(`no Docker answers on ${host}`))
    socket.once('error', (error) => answer(`no Docker on ${host} (${(error as NodeJS.ErrnoException).code})`))
  })
}
