/** How Node asks a value what it looks like (`util.inspect.custom`), by the name that needs no import. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/**
 * The same value, which shows something else of itself in logs and as JSON: for what has to be handed to an object that a
 * program can look into. Its members stay as they are, and are copied as ever.
 */
export function concealed<T extends object>(value: T, shown: string): T {
  for (const name of [INSPECT, 'toJSON']) Object.defineProperty(value, name, { value: () => shown })
  return value
}
