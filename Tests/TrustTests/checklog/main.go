// Checks an exported log with Go's own note and tlog packages, and leaves beside it what those made of the same entries.
//
//	checklog FOLDER VERIFIER-KEY
//
// Or checks one proof, in the form of c2sp.org/tlog-proof, that a file is an entry:
//
//	checklog proof PROOF ENTRY VERIFIER-KEY
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

var folder string

func must(err error, what ...interface{}) {
	if err != nil {
		fmt.Fprintln(os.Stderr, append(what, err)...)
		os.Exit(1)
	}
}

func read(name string) []byte {
	data, err := os.ReadFile(filepath.Join(folder, name))
	must(err)
	return data
}

// The layout of c2sp.org/tlog-tiles is Go's without the height.
func path(tile tlog.Tile) string {
	text := strings.TrimPrefix(tile.Path(), "tile/8/")
	return "tile/" + strings.Replace(text, "data/", "entries/", 1)
}

// Go asks for as few hashes of a tile as will do; a log of this size has one file with all of them.
type files struct{ size int64 }

func (files) Height() int { return height }
func (log files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		whole := tile
		whole.W = 1 << height
		if left := log.size>>uint(height*tile.L) - tile.N<<height; left < 1<<height {
			whole.W = int(left)
		}
		data, err := os.ReadFile(filepath.Join(folder, path(whole)))
		if err != nil {
			return nil, err
		}
		all = append(all, data[:tile.W*tlog.HashSize])
	}
	return all, nil
}
func (files) SaveTiles([]tlog.Tile, [][]byte) {}

func hashes(text string) []tlog.Hash {
	var all []tlog.Hash
	for _, word := range strings.Fields(text) {
		hash, err := tlog.ParseHash(word)
		must(err)
		all = append(all, hash)
	}
	return all
}

func checkProof(proofFile, entryFile, key string) {
	verifier, err := note.NewVerifier(key)
	must(err)
	proof, err := os.ReadFile(proofFile)
	must(err)
	entry, err := os.ReadFile(entryFile)
	must(err)
	head, signed, found := strings.Cut(string(proof), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		must(fmt.Errorf("this is no proof: %s", head))
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	must(err, "checkpoint")
	words := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(words[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(words[2])
	must(err)
	way := hashes(strings.Join(lines[2:], " "))
	must(tlog.CheckRecord(way, size, root, index, tlog.RecordHash(entry)), "inclusion")
	fmt.Printf("entry %d of %d\n", index, size)
}

func main() {
	if os.Args[1] == "proof" {
		checkProof(os.Args[2], os.Args[3], os.Args[4])
		return
	}
	folder = os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	must(err)
	opened, err := note.Open(read("checkpoint"), note.VerifierList(verifier))
	must(err, "checkpoint")
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)

	// The same log, made by Go from the entries.
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for count := int64(0); count < size; {
		width := size - count
		if width > 1<<height {
			width = 1 << height
		}
		data := read(path(tlog.Tile{H: height, L: -1, N: count >> height, W: int(width)}))
		for ; len(data) > 0; count++ {
			length := int(binary.BigEndian.Uint16(data))
			more, err := tlog.StoredHashes(count, data[2:2+length], reader)
			must(err)
			stored = append(stored, more...)
			data = data[2+length:]
		}
	}
	own, err := tlog.TreeHash(size, reader)
	must(err)
	if own != root {
		must(fmt.Errorf("root %v, and Go's is %v", root, own))
	}

	// Every tile, checked against the checkpoint on the way.
	tree := tlog.Tree{N: size, Hash: root}
	tiled := tlog.TileHashReader(tree, files{size})
	for leaf := int64(0); leaf < size; leaf++ {
		index := tlog.StoredHashIndex(0, leaf)
		found, err := tiled.ReadHashes([]int64{index})
		must(err, "tiles")
		if found[0] != stored[index] {
			must(fmt.Errorf("leaf %d differs", leaf))
		}
	}
	tiles := tlog.NewTiles(height, 0, size)
	for _, tile := range tiles {
		data, err := tlog.ReadTileData(tile, reader)
		must(err)
		ours, err := files{size}.ReadTiles([]tlog.Tile{tile})
		must(err)
		if !bytes.Equal(data, ours[0]) {
			must(fmt.Errorf("%s differs", path(tile)))
		}
	}

	// `inclusion SIZE LEAF` and `consistency OLD NEW`, each with the hashes of the proof.
	var accepted, refused int
	proofs, err := os.ReadFile(filepath.Join(folder, "proofs"))
	if err != nil && !os.IsNotExist(err) {
		must(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(proofs)), "\n") {
		if line == "" {
			continue
		}
		words := strings.SplitN(line+" ", " ", 4)
		first, err := strconv.ParseInt(words[1], 10, 64)
		must(err)
		second, err := strconv.ParseInt(words[2], 10, 64)
		must(err)
		proof := hashes(words[3])
		check := func() error {
			if words[0] == "inclusion" {
				head, err := tlog.TreeHash(first, reader)
				must(err)
				return tlog.CheckRecord(proof, first, head, second, stored[tlog.StoredHashIndex(0, second)])
			}
			before, err := tlog.TreeHash(first, reader)
			must(err)
			after, err := tlog.TreeHash(second, reader)
			must(err)
			return tlog.CheckTree(proof, second, after, first, before)
		}
		must(check(), line)
		accepted++
		for index := range proof {
			proof[index][index%32] ^= 1
			if check() == nil {
				must(fmt.Errorf("an altered proof was accepted: %s", line))
			}
			proof[index][index%32] ^= 1
			refused++
		}
	}

	// A note of Go's, for us to read.
	secret, public, err := note.GenerateKey(rand.Reader, "go.example/log")
	must(err)
	signer, err := note.NewSigner(secret)
	must(err)
	text := fmt.Sprintf("go.example/log\n%d\n%s\n", size, base64.StdEncoding.EncodeToString(own[:]))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	must(err)
	must(os.WriteFile(filepath.Join(folder, "go-checkpoint"), signed, 0o644))
	must(os.WriteFile(filepath.Join(folder, "go-key"), []byte(public), 0o644))
	fmt.Printf("tiles %d proofs %d altered %d\n", len(tiles), accepted, refused)
}
