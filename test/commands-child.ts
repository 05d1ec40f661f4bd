/**
 * The command of an unpacked package, many times in one process: `node commands-child.mjs BIN`. Each line on stdin is one
 * {@link CommandLine}, each line on stdout what it printed.
 */
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import type { CommandIo } from '../src/cli/io.ts'
import { type CommandLine, oneLine, type Printed } from './fixtures/command-lines.ts'

const { main } = (await import(pathToFileURL(join(dirname(process.argv[2] ?? ''), 'cli.js')).href)) as {
  main(argv: readonly string[], io: CommandIo): Promise<number>
}

for await (const line of createInterface({ input: process.stdin })) {
  const { args, isTerminal = false } = JSON.parse(line) as CommandLine
  const printed: Printed = { code: 0, stdout: '', stderr: '' }
  const output = (name: 'stdout' | 'stderr') => ({
    isTerminal,
    write: (text: string) => {
      printed[name] += text
    },
  })
  printed.code = await main(args, {
    stdout: output('stdout'),
    stderr: output('stderr'),
    stdin: { isTerminal, readAll: async () => '', readLine: async () => '' },
    env: process.env,
    passSignals: () => {},
    signal: new AbortController().signal,
  })
  process.stdout.write(`${oneLine(printed)}\n`)
}
