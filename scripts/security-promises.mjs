// What SECURITY.md promises and the tests it names for it, from its text and the tests that ran.

const SECTION = /^## What we promise\n(.*?)(?=^## )/ms
const LINK = /\[([^\]]+)\]\(((?:src|test)\/[^)]+\.test\.ts)\)/g

/**
 * @param page the text of SECURITY.md
 * @param tests each `{ file, name, status }`
 * @returns `problems`, one sentence each; `promises`, how many there are; `named`, how many tests they name
 */
export function judgePromises({ page, tests }) {
  const promises = promisesOf(page)
  const problems = promises.length === 0 ? ['SECURITY.md has no section "What we promise".'] : []
  let named = 0
  for (const promise of promises) {
    const title = promise.slice(0, 60)
    const links = [...promise.matchAll(LINK)]
    if (links.length === 0) problems.push(`No test is named for: ${title}…`)
    for (const [, text, file] of links) {
      named += 1
      const found = tests.filter((test) => test.file === file && test.name.includes(plain(text)))
      if (found.length === 0) problems.push(`${file} has no test "${plain(text)}", named for: ${title}…`)
      for (const { name, status } of found) {
        if (status === 'failed') problems.push(`${file}: "${name}" fails, named for: ${title}…`)
      }
    }
  }
  return { problems, promises: promises.length, named }
}

/** The items of the section, each as one line. */
function promisesOf(page) {
  const [, section = ''] = SECTION.exec(page) ?? []
  return section
    .split(/^- /m)
    .slice(1)
    .map((item) =>
      item
        .split(/\n\n|\n#/)[0]
        .replace(/\s+/g, ' ')
        .trim(),
    )
}

/** A name of a test as it is written, without what Markdown needs. */
function plain(text) {
  return text.replace(/\\(.)/g, '$1').replace(/\s+/g, ' ')
}
