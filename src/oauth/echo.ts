/** As long a piece of a secret as may be recognised when it is repeated. */
const PIECE = 8
/** Shorter secrets are words that anybody may say. */
const SHORTEST = 6
/** Characters of a text that are looked at. Nothing that is shown is longer. */
const LIMIT = 4096

/**
 * A server's words, unless they repeat a secret of the request they answer: some servers quote the code or the token
 * they refuse, and what they say ends in messages and logs.
 */
export function withoutEcho(text: string, secrets: readonly string[]): string {
  return isEcho(text, secrets) ? '(left out: it repeats a secret)' : text.slice(0, LIMIT)
}

/** Whether a text repeats eight characters of a secret: as they are, or percent-encoded, escaped or in base64. */
export function isEcho(text: string, secrets: readonly string[]): boolean {
  if (secrets.length === 0) return false
  const readings = readingsOf(text.slice(0, LIMIT))
  return secrets.some((secret) => repeats(readings, secret))
}

function repeats(readings: readonly string[], secret: string): boolean {
  const length = Math.min(PIECE, secret.length)
  if (length < SHORTEST) return false
  for (let start = 0; start + length <= secret.length; start += 1) {
    const piece = secret.slice(start, start + length)
    if (readings.some((reading) => reading.includes(piece))) return true
  }
  return false
}

/** The text, and what it says to somebody who undoes its encoding. */
function readingsOf(text: string): string[] {
  const encoded = text.match(/[A-Za-z0-9+/_-]{11,}/g) ?? []
  return [
    text,
    text.replace(/%([\da-f]{2})/gi, characterOf),
    text.replace(/\\(?:u00|x)([\da-f]{2})/gi, characterOf),
    // It is not known where in a run of characters the base64 begins.
    ...encoded.flatMap((run) => [0, 1, 2, 3].map((offset) => fromBase64(run.slice(offset)))),
  ]
}

function characterOf(_escape: string, hexadecimal: string): string {
  return String.fromCharCode(Number.parseInt(hexadecimal, 16))
}

function fromBase64(text: string): string {
  const whole = text.slice(0, text.length - (text.length % 4))
  return atob(whole.replaceAll('-', '+').replaceAll('_', '/'))
}
