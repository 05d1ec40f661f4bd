/** As long a piece of a secret as may be recognised when it is repeated. */
const PIECE = 8
/** Shorter secrets are words that anybody may say. */
const SHORTEST = 6

/**
 * A server's words, unless they repeat a secret of the request they answer: some servers quote the code or the token
 * they refuse, and what they say ends in messages and logs.
 */
export function withoutEcho(text: string, secrets: readonly string[]): string {
  return secrets.some((secret) => repeats(text, secret)) ? '(left out: it repeats a secret)' : text
}

function repeats(text: string, secret: string): boolean {
  const length = Math.min(PIECE, secret.length)
  if (length < SHORTEST) return false
  for (let start = 0; start + length <= secret.length; start += 1) {
    if (text.includes(secret.slice(start, start + length))) return true
  }
  return false
}
