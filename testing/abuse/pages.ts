// The addresses beside /graphql, and other methods.
import { type Attack, attackerAddress, noLongerThan, times, unless } from './attack.ts'
import { type HttpRequest, send } from './http.ts'

const statusBytesMax = 50_000
const pageBytesMax = 20_000

const flood = (count: number, request: (index: number) => Omit<HttpRequest, 'from'>) =>
  times(count, 50, (index) => send({ ...request(index), from: attackerAddress }))

const readiness: Attack = {
  name: '/ready and /status 10,000 times',
  run: async (target) => {
    const answers = await flood(target.much(10_000, 300), (index) => ({
      url: `${target.url}/${index % 2 === 0 ? 'ready' : 'status'}`,
    }))
    const failed = answers.filter(({ status }) => status !== 200).length
    const shown = answers.filter(({ value }) => {
      const { projections = [] } = value as {
        projections?: readonly { failure: { message: unknown } | null; parked: { first: unknown[] } }[]
      }
      return projections.some(({ failure, parked }) => parked.first.length > 0 || failure?.message)
    }).length
    return [
      ...unless(failed === 0, `${failed} of ${answers.length} were not answered with 200`),
      ...unless(shown === 0, `${shown} answers showed parked streams or errors to a guest`),
      ...noLongerThan(answers, statusBytesMax),
    ]
  },
}

const graphiql: Attack = {
  name: '2,000 views of the GraphiQL page',
  run: async (target) => {
    const page = { url: `${target.url}/graphql`, headers: { accept: 'text/html' } }
    const [first] = await flood(1, () => page)
    const script = /src="([^"]+)"/.exec(first?.text ?? '')?.[1] ?? '/none'
    const views = await flood(target.much(2_000, 100), () => page)
    const scripts = await flood(target.much(200, 10), () => ({
      url: `${target.url}${script}`,
      headers: { 'accept-encoding': 'gzip' },
    }))
    return [
      ...unless(
        [...views, ...scripts].every(({ status }) => status === 200),
        'the page or its script was not served',
      ),
      ...unless(
        scripts.every(({ headers }) => String(headers['cache-control']).includes('immutable')),
        'a browser would load the script again',
      ),
      ...noLongerThan(views, pageBytesMax),
    ]
  },
}

const metrics: Attack = {
  name: '/metrics 5,000 times, as often as the limits allow',
  run: async (target) => {
    const answers = await times(target.much(5_000, 100), 250, () =>
      send({ url: `${target.url}/metrics`, from: attackerAddress }),
    )
    const failed = answers.filter(({ status }) => status !== 200).length
    return unless(failed === 0, `${failed} of ${answers.length} were not answered with 200`)
  },
}

const methods: Attack = {
  name: 'other methods, paths and bodies',
  run: async (target) => {
    const [names, paths] = [
      ['HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'GET', 'POST'],
      ['/graphql', '/', '/%00', '/graphql?query=%', '/graphql?query={head}&variables=[', `/${'a/'.repeat(3_000)}`],
    ]
    const bodies = ['', '[]', 'null', '{', '{"query":1}', '{"query":{}}', '{"query":"{ head }","variables":[1]}']
    const types = ['application/json', 'application/graphql+json', 'text/plain', 'multipart/form-data; boundary=a', 'x']
    const answers = await times(target.much(1_200, 400), 10, (index) => {
      const method = names[index % names.length] ?? 'GET'
      return send({
        url: `${target.url}${paths[index % paths.length]}`,
        method,
        headers: { 'content-type': types[index % types.length] ?? 'x' },
        ...(['GET', 'HEAD'].includes(method) ? {} : { body: bodies[Math.floor(index / 7) % bodies.length] ?? '' }),
        from: attackerAddress,
      })
    })
    const failed = [...new Set(answers.filter(({ status }) => status >= 500).map(({ text }) => text.slice(0, 200)))]
    return unless(failed.length === 0, `answered with a failure of the platform: ${failed.join(' ')}`)
  },
}

export const pageAttacks: readonly Attack[] = [readiness, graphiql, metrics, methods]
