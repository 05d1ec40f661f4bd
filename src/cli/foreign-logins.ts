import type { HttpServerDefinition } from '../definitions.ts'
import { type ForeignLogin, readForeignLogin } from '../hosts/foreign-login.ts'
import type { ForeignPlace, WantedServer } from '../hosts/foreign-place.ts'
import { type ForeignProgram, foreignPlaces } from '../hosts/foreign-program.ts'
import type { CommandContext } from './context.ts'
import type { ForeignFile, ForeignFiles } from './parts.ts'

/** Put on the names of files while a login is taken over whose files are where ours will be. */
export const IN_WORK = '.importing'
/** Put on the names of files whose login is ours now. */
export const DONE = '.imported'

/** The files of one login. `login` is absent when they hold none that is whole. */
export interface FoundLogin {
  readonly place: ForeignPlace
  readonly files: readonly ForeignFile[]
  readonly login: ForeignLogin | undefined
}

/** Finds the logins of another program, by names computed from configured URLs. */
export class ForeignLogins {
  readonly #program: ForeignProgram
  readonly #md5: (text: string) => string
  readonly files: ForeignFiles
  #folders: Promise<string[]> | undefined

  constructor(program: ForeignProgram, { parts }: CommandContext) {
    this.#program = program
    this.#md5 = parts.md5
    this.files = parts.foreignFiles()
  }

  async places(server: HttpServerDefinition): Promise<ForeignPlace[]> {
    this.#folders ??= this.#program === 'mcp-remote' ? this.files.folders('mcp-remote') : Promise.resolve([])
    const wanted: WantedServer = {
      url: server.url,
      headers: server.headers,
      resource: server.auth.method === 'oauth' ? server.auth.settings.resource : undefined,
    }
    return foreignPlaces(this.#program, wanted, { md5: this.#md5, folders: await this.#folders })
  }

  /** The login in the file that was written last, since a program may have left older ones in other folders. */
  async newest(places: readonly ForeignPlace[]): Promise<FoundLogin | undefined> {
    let newest: FoundLogin | undefined
    for (const place of places) {
      const found = await this.#at(place)
      if (found && (!newest || found.files[0]!.modified > newest.files[0]!.modified)) newest = found
    }
    return newest
  }

  async #at(place: ForeignPlace): Promise<FoundLogin | undefined> {
    const tokens = await this.#read(place, place.tokens)
    // At this path a file of ours may be as well.
    if (!tokens || isOurs(tokens.text)) return undefined
    const registration = await this.#read(place, place.registration)
    const client = registration && !isOurs(registration.text) ? registration : undefined
    const login = readForeignLogin(tokens.text, client?.text, place)
    return { place, files: client ? [tokens, client] : [tokens], login }
  }

  /** What an import that was killed left under another name is what it was before. */
  async #read({ root }: ForeignPlace, relative: string): Promise<ForeignFile | undefined> {
    const file = await this.files.read(root, relative)
    return file && !isOurs(file.text) ? file : ((await this.files.read(root, relative + IN_WORK)) ?? file)
  }
}

function isOurs(text: string): boolean {
  return /^\s*\{\s*"format":\s*"latchkey-/.test(text)
}
