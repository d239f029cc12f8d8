// SPDX-License-Identifier: GPL-3.0-or-later

// The frame of Go's scenarios: check runs one, with a bound, and prints what run.py reads. A check fails by panicking,
// which must and equal do; what it opened is closed after it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

const (
	rounds          = 20 // transactions after which a client has surely met every server of the pool
	clients         = 12 // three times the servers of the pool
	checkSecondsMax = 20
)

var (
	background = context.Background()
	opened     []func()
	openedLock sync.Mutex
)

func closeAtEnd(closeIt func()) {
	openedLock.Lock()
	defer openedLock.Unlock()
	opened = append(opened, closeIt)
}

func check(name string, work func()) {
	if !strings.Contains(name, os.Getenv("DRIVERS_ONLY")) {
		return
	}
	begin := time.Now()
	ended := make(chan string, 1)
	go func() { ended <- storyOf(work) }()
	var story string
	select {
	case story = <-ended:
	case <-time.After(checkSecondsMax * time.Second):
		story = fmt.Sprintf("no end within %d s", checkSecondsMax)
	}
	milliseconds := time.Since(begin).Milliseconds()
	if story == "" {
		fmt.Printf("ok\t%s\t%d\n", name, milliseconds)
	} else {
		fmt.Printf("failed\t%s\t%d\t%s\n", name, milliseconds, strings.NewReplacer("\t", " ", "\n", "\\n").Replace(story))
	}
	openedLock.Lock()
	for _, closeIt := range opened {
		go closeIt()
	}
	opened = nil
	openedLock.Unlock()
}

func storyOf(work func()) (story string) {
	defer func() {
		if failure := recover(); failure != nil {
			story = fmt.Sprint(failure, place())
		}
	}()
	work()
	return ""
}

// The first line of a scenario on the stack.
func place() string {
	for _, line := range strings.Split(string(debug.Stack()), "\n") {
		if strings.Contains(line, "_scenario.go:") {
			return " (" + strings.TrimSpace(line[strings.LastIndex(line, "/")+1:]) + ")"
		}
	}
	return ""
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(actual, expected interface{}) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Errorf("%v, not %v", actual, expected))
	}
}

// fails panics when there is no error, or one of another SQLSTATE than `state`; "" stands for any.
func fails(err error, state string) {
	if err == nil {
		panic(errors.New("no error"))
	}
	if state != "" && sqlState(err) != state {
		panic(fmt.Errorf("%v: not %s", err, state))
	}
}

func until(condition func() bool, what string) {
	for deadline := time.Now().Add(3 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic(errors.New(what + ": not in time"))
		}
	}
}

// together runs work(0) to work(count-1) at the same time and panics with the first failure.
func together(count int, work func(index int)) {
	stories := make(chan string, count)
	for i := 0; i < count; i++ {
		i := i
		go func() { stories <- storyOf(func() { work(i) }) }()
	}
	first := ""
	for i := 0; i < count; i++ {
		if story := <-stories; story != "" && first == "" {
			first = story
		}
	}
	if first != "" {
		panic(errors.New(first))
	}
}
