// Package environment has real consumers read the files of plugin/environment: shells,
// Node's dotenv and python-dotenv, and what docker and docker compose read env files with.
//
// It has the tag e2e, and make e2e brings what it needs: bash, dash and node are the
// machine's, the others are in bin/tools and bin/environment. readers is a module of its own,
// so that docker and compose stay out of the product's. PowerShell and cmd are not to be had
// on Linux: the tests of plugin/environment read by their written rules.
package environment
