#!/usr/bin/env node
import { main, processIo } from './index.ts'

process.exitCode = (await main(process.argv.slice(2), processIo())) || process.exitCode || 0
if (process.connected) process.disconnect()
