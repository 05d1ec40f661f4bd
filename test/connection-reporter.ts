import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Reporter } from 'vitest/node'

interface Note {
  readonly program: string
  readonly connections?: number
  readonly undecided?: string
}

/** Fails a run in which a process of latchkey made a connection that nothing had decided about. */
export default class ConnectionReporter implements Reporter {
  onTestRunEnd(): void {
    const { lines, undecided } = connectionReport(process.env.LATCHKEY_TEST_RUN ?? '')
    process.stdout.write(`${lines.join('\n')}\n`)
    if (undecided > 0) process.exitCode = 1
  }
}

/** What `fixtures/connection-watch.mjs` noted in the folder of a run. */
export function connectionReport(run: string): { readonly lines: string[]; readonly undecided: number } {
  const notes = readNotes(join(run, 'connections.jsonl'))
  const counts = notes.flatMap(({ connections }) => connections ?? [])
  const undecided = notes.filter((note) => note.undecided !== undefined)
  const sum = counts.reduce((total, count) => total + count, 0)
  return {
    undecided: undecided.length,
    lines: [
      `connections: ${sum} of ${counts.length} processes, ${undecided.length} without a decision`,
      ...programsOf(undecided),
    ],
  }
}

/** A line for each program, however often it connected. */
function programsOf(undecided: readonly Note[]): string[] {
  return [...new Set(undecided.map(({ program }) => program))].map((program) => {
    const [first, ...more] = undecided.filter((note) => note.program === program)
    return `  ${program} connected to ${first?.undecided}${more.length > 0 ? ` and ${more.length} more` : ''}`
  })
}

function readNotes(file: string): Note[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line))
}
