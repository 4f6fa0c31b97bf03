/** A channel of the client, as far as it is needed here. */
type Channel = {
  getTarget(): string
  getConnectivityState(tryToConnect: boolean): number
  watchConnectivityState(state: number, deadline: number, onChanged: (error?: Error) => void): void
}
/** States of a channel: https://grpc.github.io/grpc/core/md_doc_connectivity-semantics-and-api.html */
const ready = 2
const shutDown = 4

/** Counts the connections of a client: it makes another channel for another node and after an outage, and a channel
 *  connects again by itself. Returns the number of the one at this moment.
 *  @param onMoved called when the client goes over to another node. */
export const countLinks = (client: object, onMoved: () => void): (() => number | undefined) => {
  const internals = client as { createChannel(): Promise<Channel> }
  const create = internals.createChannel
  let current: Channel | undefined
  let links = 0
  const follow = (channel: Channel, state: number) => {
    links += 1
    if (state === shutDown) return
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => {
      if (!error && channel === current) follow(channel, channel.getConnectivityState(false))
    })
  }
  internals.createChannel = async () => {
    const channel = await create()
    const hasMoved = current !== undefined && current.getTarget() !== channel.getTarget()
    current = channel
    if (hasMoved) onMoved()
    follow(channel, channel.getConnectivityState(false))
    return channel
  }
  return () => {
    try {
      return current?.getConnectivityState(false) === ready ? links : undefined
    } catch {
      return undefined // the channel is closed
    }
  }
}
