import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Home } from './fixtures/built-command.ts'
import { type CommandLine, oneLine, type Printed } from './fixtures/command-lines.ts'
import { packedPackage } from './fixtures/packed-package.ts'
import { buildProgram } from './session-program.ts'

/** One process of the packed command in which one command runs after the other: for tests of very many. */
export interface Commands {
  run(line: CommandLine): Promise<Printed>
  end(): void
}

let built: Promise<{ file: string; bin: string }> | undefined

/** Built once for all tests of a file. */
function commandsProgram() {
  built ??= packedPackage().then(async ({ bin, project }) => ({
    file: (await buildProgram('commands-child', project)).file,
    bin,
  }))
  return built
}

export async function startCommands(home: Home): Promise<Commands> {
  const { file, bin } = await commandsProgram()
  const child = spawn(process.execPath, [file, bin], { env: home.env, cwd: home.path, stdio: 'pipe' })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    run: async (line) => {
      child.stdin.write(`${oneLine(line)}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error('the process of the commands has ended')
      return JSON.parse(value) as Printed
    },
    end: () => void child.stdin.end(),
  }
}
