// Command hello is what the tests of testenv build.
package main

import "fmt"

// name is set by the linker.
var name = "nobody"

func main() { fmt.Println("hello", name) }
