import { chmodSync, createReadStream, createWriteStream, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { createBrotliDecompress } from 'node:zlib'
import { OmiumError } from '@omium/schemas'
import { toolsDir } from './layout.ts'
import { which } from './prerequisites.mjs'
import { installOnce, type Progress } from './tools.ts'

/** By their usual names, for machines that the packaged one is not made for. */
const installed = ['chromium', 'chromium-browser', 'google-chrome', 'chrome-headless-shell']

/** The folder of the package that carries a headless Chromium for Linux on x64. */
const packaged = (): string => fileURLToPath(new URL('..', import.meta.resolve('@sparticuz/chromium')))

/**
 * A headless Chromium for specs: `OMIUM_CHROMIUM`, one that is installed, or the one of an npm package, which needs nobody's leave
 * to be unpacked.
 * @returns its path
 * @throws OmiumError `unavailable` saying what to install
 */
export const ensureChromium = async ({ progress }: { progress: Progress }): Promise<string> => {
  const named = process.env['OMIUM_CHROMIUM'] || installed.map((name) => which(name)).find(Boolean)
  if (named) return named
  const archive = join(packaged(), 'bin/chromium.br')
  if (process.platform !== 'linux' || process.arch !== 'x64' || !existsSync(archive))
    throw new OmiumError(
      'unavailable',
      'Chromium is needed for these specs and none was found: install it (Debian: apt-get install chromium; macOS: brew install chromium) or point OMIUM_CHROMIUM at one.',
    )
  const { version } = JSON.parse(readFileSync(join(packaged(), 'package.json'), 'utf8')) as { version: string }
  const folder = await installOnce(
    toolsDir(),
    `chromium-${version}`,
    () => progress(`unpacking Chromium ${version}`),
    async (into) => {
      const file = join(into, 'chromium')
      await pipeline(createReadStream(archive), createBrotliDecompress(), createWriteStream(file))
      chmodSync(file, 0o755)
    },
  )
  return join(folder, 'chromium')
}
