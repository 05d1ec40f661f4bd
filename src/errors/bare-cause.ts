/**
 * An error of somebody else as it may stand in `cause`: what it is called and says, and the same of its own causes. Other
 * members may hold anything: the bytes that a parser refused, the arguments of a program, the URL with its password.
 */
export function bareCause(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined
  const { name, message, stack, cause } = error
  const { code } = error as { code?: unknown }
  const options = cause === undefined ? {} : { cause: bareCause(cause) }
  const bare =
    error instanceof AggregateError
      ? new AggregateError(error.errors.map(bareCause), message, options)
      : new Error(message, options)
  for (const [member, value] of Object.entries({ name, stack, ...(typeof code === 'string' && { code }) })) {
    Object.defineProperty(bare, member, {
      value,
      enumerable: member === 'code',
      configurable: true,
      writable: true,
    })
  }
  return bare
}
