import { shellWord } from '../errors/shell-word.ts'
import type { Flags } from './flags.ts'

/** A command to be typed next, with the config file and store that this one was given: it has to find the same login. */
export function nextCommand(command: string, { config, store }: Flags): string {
  if (command === '') return command
  const from = config === undefined ? '' : ` --config ${shellWord(config)}`
  return command + from + (store === undefined ? '' : ` --store ${shellWord(store)}`)
}
