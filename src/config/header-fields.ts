import { invalid, isRecord, keyPath, unexpected } from './problem.ts'

/**
 * Checks header fields (RFC 9110 §5.1, §5.5): a name is a token and stands once whatever its case, a value is one line
 * of characters a header can carry. Values are trimmed. Throws `config_invalid`.
 */
export function headerFields(value: unknown, key: string): Record<string, string> {
  if (!isRecord(value)) throw unexpected(key, value, 'an object of strings by header name')
  const fields: Record<string, string> = Object.create(null)
  const seen = new Map<string, string>()
  for (const [name, text] of Object.entries(value)) {
    const fieldKey = keyPath(key, name)
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw invalid(fieldKey, 'not a header name, expected letters, digits and "-".')
    }
    const lowerCase = name.toLowerCase()
    const before = seen.get(lowerCase)
    if (before !== undefined)
      throw invalid(fieldKey, `the same header as ${keyPath(key, before)}.`, 'Keep one.')
    seen.set(lowerCase, name)
    fields[name] = fieldValue(text, fieldKey)
    if (lowerCase === 'authorization') checkCredential(fields[name], fieldKey)
  }
  return fields
}

/** The name under which an `Authorization` stands in checked header fields, in whatever case. */
export function authorizationField(fields: Readonly<Record<string, string>>): string | undefined {
  return Object.keys(fields).find((name) => name.toLowerCase() === 'authorization')
}

function fieldValue(value: unknown, key: string): string {
  if (value === undefined || value === null) {
    throw unexpected(key, value, 'a string', 'Is a variable not set?')
  }
  if (typeof value !== 'string') throw unexpected(key, value, 'a string')
  const text = value.trim()
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(text)) {
    throw invalid(key, 'found a line end or control character, expected one line of text.')
  }
  if (/[^\u0000-\u00ff]/.test(text)) {
    throw invalid(key, 'found a character that no header can carry, expected ISO 8859-1.')
  }
  return text
}

/** An unset variable leaves `Bearer `, `Bearer undefined` or `Bearer ${TOKEN}`; none of them was meant. */
function checkCredential(value: string, key: string): void {
  const [scheme = '', credential] = value.split(/\s+/, 2)
  const bareScheme = credential === undefined && /^(basic|bearer|token|apikey)$/i.test(scheme)
  const said = credential ?? scheme
  if (value === '' || bareScheme || /^(undefined|null|none)$/i.test(said) || value.includes('${')) {
    throw invalid(key, 'found no credential, expected one after the scheme.', 'Is a variable not set?')
  }
}
