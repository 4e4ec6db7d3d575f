// Prints the variables of a file, each ended by a NUL: read.js dotenv|json FILE
const { readFileSync } = require('fs')
const [syntax, file] = process.argv.slice(2)
const text = readFileSync(file, 'utf8')
const all = syntax === 'json' ? JSON.parse(text) : require('dotenv').parse(text)
process.stdout.write(Object.entries(all).map(([name, value]) => `${name}=${value}\0`).join(''))
