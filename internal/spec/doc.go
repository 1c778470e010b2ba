// Package spec turns segue.yaml into nouns. It is pure: text and variables in, a Project or every fault at once out, each with file, line,
// column and what to do. It knows no driver: each driver's block is a plain struct here, which internal/app hands on.
//
// The types that the file is decoded into are also what the JSON Schema is made from, so that the two cannot part.
package spec
