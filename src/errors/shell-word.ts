import { EVERY_UNSAFE } from './server-text.ts'

/** A word as a POSIX shell reads it back. One with characters that cannot be shown does no harm, and finds nothing. */
export function shellWord(word: string): string {
  const shown = word.replace(EVERY_UNSAFE, '?')
  // A leading dash would be read as a flag all the same, but not by accident of quoting.
  return /^[\w@%+=:,./][\w@%+=:,./-]*$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}
