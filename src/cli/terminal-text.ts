/** Text with lines of its own, without anything that steers a terminal or hides text. */
export function terminalText(text: string): string {
  return text.replace(STEERING, '')
}

/** C0 and C1 controls but tab and line feed, bidi overrides, invisible characters. */
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202f\u2060-\u2069\ufeff]/g
