import type { DevEvent, RunningStack } from './up.ts'

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** An event as one line for a person; undefined for those that the banner tells. */
export const eventLine = (event: DevEvent): string | undefined => {
  switch (event.type) {
    case 'progress':
      return `  ${event.message}`
    case 'port-moved':
      return `  the usual port of ${event.name} is taken: it is on ${event.port}`
    case 'ready':
      return event.external
        ? `  ${event.name}: the one you gave`
        : `  ${event.name} is up after ${seconds(event.afterMs)}`
    case 'service-ready':
      return `  ${event.name} is ${event.restarts === 0 ? 'ready' : `ready again (start ${event.restarts + 1})`}`
    case 'service-died':
      return `  ${event.name} ended (${event.how}); it starts again in ${seconds(event.againInMs)}`
    case 'mail':
      return `  mail to ${event.to}: ${event.link ?? event.file}`
    case 'up':
      return undefined
    case 'stopping':
      return '  stopping'
    case 'stopped':
      return `  everything stopped after ${seconds(event.afterMs)}`
  }
}

/** What a person needs to know about a running stack. */
export const banner = ({ state, apiKey, layout }: RunningStack, upAfterMs: number): string => {
  const rows = [
    ...Object.entries(state.urls),
    ['API key', apiKey],
    ['data', layout.data],
    ['logs', layout.logs],
    ['environment', layout.environmentFile],
  ]
  const width = Math.max(...rows.map(([name = '']) => name.length))
  const lines = rows.map(([name = '', value]) => `  ${name.padEnd(width)}  ${value}`)
  const title = `Omium is up after ${seconds(upAfterMs)}${state.ephemeral ? ' (ephemeral)' : ''}`
  return ['', title, '', ...lines, '', '  Ctrl-C or npm run omium stop ends it.', ''].join('\n')
}
