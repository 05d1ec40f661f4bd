import { UNSAFE_CHARACTER } from '../errors/server-text.ts'

/** Text with lines of its own, without anything that steers a terminal or hides text. */
export function terminalText(text: string): string {
  return text.replace(STEERING, '')
}

const STEERING = new RegExp(`(?![\\t\\n])${UNSAFE_CHARACTER.source}`, 'gu')
