import { invalid, keyPath, unexpected } from './problem.ts'

/** A non-empty string without control characters. Throws `config_invalid`; the text is not shown, it may be a secret. */
export function text(value: unknown, key: string): string {
  const string = written(value, key)
  if (/[\u0000-\u001f\u007f]/.test(string)) {
    throw invalid(key, 'found a line end or control character, expected none.')
  }
  return string
}

/** A non-empty string that may have several lines: a key in PEM. */
export function written(value: unknown, key: string): string {
  if (typeof value !== 'string' || value.trim() === '') {
    throw unexpected(key, value, 'a non-empty string', value === '' ? 'Is a variable not set?' : undefined)
  }
  if (value.includes('${')) {
    throw invalid(
      key,
      `found a "\${…}" that was not replaced.`,
      'Variables are replaced in trusted files only.',
    )
  }
  return value
}

/** `Number(undefined)` and templates leave words that no client is called. */
export function credential(value: unknown, key: string): string {
  const string = text(value, key)
  if (/^(undefined|null)$/i.test(string)) {
    throw invalid(key, `found the word "${string}".`, 'Is a variable not set?')
  }
  return string
}

/** RFC 6749 §3.3. A list, as Cursor writes it, becomes the space-separated string. */
export function scope(value: unknown, key: string): string {
  const parts = Array.isArray(value)
    ? value.map((item, index) => text(item, keyPath(key, index)))
    : [text(value, key)]
  const tokens = parts.flatMap((part) => part.split(' ')).filter((token) => token !== '')
  if (tokens.length === 0)
    throw unexpected(key, value, 'at least one scope', 'Leave it out to ask for the default.')
  const bad = tokens.find((token) => !/^[\u0021\u0023-\u005b\u005d-\u007e]+$/.test(token))
  if (bad !== undefined)
    throw invalid(key, 'one of the values is no scope.', 'Scopes are separated by spaces.')
  return tokens.join(' ')
}
