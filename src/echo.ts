/** Stands for what a server repeated. */
export const LEFT_OUT = '(left out: it repeats a secret)'
/** As long a piece of a secret as may be recognised when it is repeated. */
const PIECE = 8
/** Shorter secrets are words that anybody may say. */
const SHORTEST = 6
/** Characters of a text that are looked at. Nothing that is shown is longer. */
const LIMIT = 4096
/** Characters of a secret that are looked for: an access token may be as long as its server likes. */
const LONGEST = 8192

/**
 * A server's words, unless they repeat a secret of the request they answer: some servers quote the code or the token
 * they refuse, and what they say ends in messages and logs.
 */
export function withoutEcho(text: string, secrets: readonly string[]): string {
  return isEcho(text, secrets) ? LEFT_OUT : text.slice(0, LIMIT)
}

/**
 * Whether a text repeats eight characters of a secret: as they are, or percent-encoded, escaped or in base64.
 *
 * @param limit characters of the text that are looked at, where more than that is shown
 */
export function isEcho(text: string, secrets: readonly string[], limit = LIMIT): boolean {
  if (secrets.length === 0 || text.length < SHORTEST) return false
  const readings = readingsOf(text.slice(0, limit))
  const said = new Set(readings.flatMap(piecesOf))
  return secrets.some((whole) => {
    const secret = whole.slice(0, LONGEST)
    if (secret.length < PIECE)
      return secret.length >= SHORTEST && readings.some((one) => one.includes(secret))
    return spellingsOf(secret).some((spelling) => hasPieceIn(said, spelling))
  })
}

/** The text, and what it says to somebody who undoes its escapes. */
function readingsOf(text: string): string[] {
  const unescaped = text
    .replace(/%([\da-f]{2})/gi, characterOf)
    .replace(/\\+(?:u00|x)([\da-f]{2})/gi, characterOf)
  return unescaped === text ? [text] : [text, unescaped]
}

function characterOf(_escape: string, hexadecimal: string): string {
  return String.fromCharCode(Number.parseInt(hexadecimal, 16))
}

/** The secret, and its base64 wherever it begins in what was encoded, without the ends that depend on what is beside it. */
function spellingsOf(secret: string): string[] {
  const bytes = Array.from(new TextEncoder().encode(secret), (byte) => String.fromCharCode(byte)).join('')
  const encoded = [0, 1, 2].map((offset) =>
    btoa('\0'.repeat(offset) + bytes)
      .replace(/=+$/, '')
      .slice(offset === 0 ? 0 : offset + 1, -1),
  )
  const urlSafe = encoded.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))
  return [secret, ...new Set([...encoded, ...urlSafe])]
}

function hasPieceIn(said: ReadonlySet<string>, text: string): boolean {
  for (let start = 0; start + PIECE <= text.length; start += 1) {
    if (said.has(text.slice(start, start + PIECE))) return true
  }
  return false
}

function piecesOf(text: string): string[] {
  const pieces: string[] = []
  for (let start = 0; start + PIECE <= text.length; start += 1) pieces.push(text.slice(start, start + PIECE))
  return pieces
}
