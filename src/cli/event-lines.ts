import type { LatchkeyEvent } from '../events.ts'

/** One event as one line of debug output. */
export function renderEvent(event: LatchkeyEvent): string {
  const { type, ...fields } = event
  return `latchkey ${type} ${Object.entries(fields)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(' ')}`
}
