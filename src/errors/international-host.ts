import { cleanServerText } from './server-text.ts'

/** What a person should know of a host name that is not written in plain letters. */
export interface InternationalHost {
  /** How the name looks where it is not spelled in punycode: never to be shown without the host itself. */
  readonly written: string
  /** Says what is special about the name, and what to think of it. */
  readonly warning: string
}

/** Alphabets whose letters are taken for Latin ones, and those that are read most; every other one is not named. */
const ALPHABETS =
  'Cyrillic Greek Armenian Cherokee Georgian Hebrew Arabic Devanagari Thai Han Hiragana Katakana Hangul'.split(
    ' ',
  )

/**
 * Recognises the host of a URL that is international: `xn--pypal-4ve.com` is written `pаypal.com`, with a Cyrillic а.
 * Where such a host is shown it stays in punycode, with this beside it. `undefined` for every other host.
 *
 * @param host as in `URL.host`, with or without port
 * @see UTS 39 §4, RFC 3492
 */
export function internationalHost(host: string): InternationalHost | undefined {
  const hostname = host.replace(/:\d*$/, '')
  if (!/(^|\.)xn--/.test(hostname)) return undefined
  // What is longer than any name of a computer (RFC 1035 §2.3.4) is slow to decode.
  const letters = (hostname.length > 253 ? '' : hostname)
    .split('.')
    .map((label) => (label.startsWith('xn--') ? decodePunycode(label.slice(4)) : label))
    .join('.')
  // What the decoder says counts only when it means this very host.
  const isRight = URL.canParse(`https://${letters}`) && new URL(`https://${letters}`).hostname === hostname
  return {
    written: isRight ? cleanServerText(letters, 253) : '(cannot be shown)',
    warning: `The name \`${hostname}\` has ${kindOf(letters)}. It can look like a name you know and belong to somebody else.`,
  }
}

function kindOf(letters: string): string {
  const found = ALPHABETS.filter((name) => new RegExp(`\\p{Script=${name}}`, 'u').test(letters))
  if (found.length > 0) return `letters of another alphabet (${found.join(', ')})`
  return /^[\p{Script=Latin}\p{Script=Common}\p{Script=Inherited}]*$/u.test(letters)
    ? 'characters beyond the letters a to z'
    : 'letters of another alphabet'
}

/** The decoder of RFC 3492 §6.2, for one label without its `xn--`. Wrong input makes wrong letters, never an error. */
function decodePunycode(label: string): string {
  const delimiter = label.lastIndexOf('-')
  const output = delimiter > 0 ? [...label.slice(0, delimiter)] : []
  let [code, bias, index] = [128, 72, 0]
  for (let position = delimiter > 0 ? delimiter + 1 : 0; position < label.length; ) {
    const start = index
    for (let weight = 1, k = 36; position < label.length; k += 36) {
      const digit = Number.parseInt(label[position++]!, 36)
      // Letters come first here: a to z are 0 to 25, 0 to 9 are 26 to 35.
      const value = digit < 10 ? digit + 26 : digit - 10
      index += value * weight
      const threshold = Math.min(Math.max(k - bias, 1), 26)
      if (value < threshold) break
      weight *= 36 - threshold
    }
    bias = adapt(index - start, output.length + 1, start === 0)
    code += Math.floor(index / (output.length + 1))
    index %= output.length + 1
    if (!(code <= 0x10ffff)) return ''
    output.splice(index++, 0, String.fromCodePoint(code))
  }
  return output.join('')
}

/** RFC 3492 §6.1. */
function adapt(delta: number, length: number, isFirst: boolean): number {
  let rest = Math.floor(delta / (isFirst ? 700 : 2))
  rest += Math.floor(rest / length)
  let k = 0
  for (; rest > 455; k += 36) rest = Math.floor(rest / 35)
  return k + Math.floor((36 * rest) / (rest + 38))
}
