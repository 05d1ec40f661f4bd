import { shellWord } from '../credentials/login-command.ts'
import type { Flags } from './flags.ts'

/** A command to be typed next, with the config file that this one was given: it has to find the same server. */
export function nextCommand(command: string, { config }: Flags): string {
  return command === '' || config === undefined ? command : `${command} --config ${shellWord(config)}`
}
