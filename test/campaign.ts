/**
 * What the campaigns have in common: short in every test run, whole in CI and with `npm run campaign:long`, and random moments
 * that a seed brings back (as far as a machine lets itself be repeated).
 */

const level = process.env.LATCHKEY_CAMPAIGN ?? 'short'

/** The figure of a short run, or that of a whole one. */
export function size(short: number, whole: number): number {
  return level === 'short' ? short : whole
}

/** Whether limits of time are those that were promised. Elsewhere other work shares the machine: then they only end what hangs. */
export const isStrict = level === 'long'

/** Printed with every campaign: `npm run campaign:long -- --seed N` draws the same moments again. */
export const seed = Number(process.env.LATCHKEY_SEED ?? Math.floor(Math.random() * 2 ** 32))

/** Numbers from 0 to below 1, the same ones for the same seed and name (mulberry32). */
export function randomNumbers(name: string): () => number {
  let state = seed
  for (const letter of name) state = (Math.imul(state, 31) + letter.charCodeAt(0)) | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The line that a campaign leaves in the log of the run. */
export function report(line: string): void {
  console.info(`campaign: ${line}`)
}

/** `median 3.1 ms, most 7.9 ms (of 20)` */
export function spread(milliseconds: readonly number[]): string {
  const sorted = [...milliseconds].sort((a, b) => a - b)
  if (sorted.length === 0) return 'none measured'
  const show = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`
  return `median ${show(sorted[sorted.length >> 1]!)}, most ${show(sorted.at(-1)!)} (of ${sorted.length})`
}
