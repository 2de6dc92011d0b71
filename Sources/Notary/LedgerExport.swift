internal import Foundation
internal import Model
internal import Ports
package import Trust

/// A log as files that never change, for any web server to serve and any monitor to read (c2sp.org/tlog-tiles). Goes on
/// where it was interrupted or where it ended last time; the checkpoint is written last, so that all that it tells of
/// is there.
package struct LedgerExport: Sendable {
    private let ledger: any LedgerArchive
    private let folder: String

    package init(_ ledger: any LedgerArchive, to folder: String) {
        self.ledger = ledger
        self.folder = folder
    }

    package var checkpointFile: CheckpointFile { CheckpointFile(folder + "/checkpoint") }

    /// Writes what is not there yet. Throws `logInconsistent` where the folder holds another log.
    ///
    /// - Parameters:
    ///   - keys: what may have signed the checkpoint that is there already
    ///   - progress: told how much is done, of 1
    /// - Returns: how many files were written
    package func run(
        _ checkpoint: Checkpoint, _ note: SignedNote, keys: [PublicKey],
        progress: (Double) throws -> Void = { _ in }
    ) throws -> Int {
        try makeFolder(folder)
        if let older = try checkpointFile.read(origin: checkpoint.origin, keys: keys) {
            try ledger.requireConsistency(with: older, from: checkpointFile.path)
        }
        let tiles = LogTile.all(size: checkpoint.size)
        var written = 0
        for (place, tile) in tiles.enumerated() {
            if try write(tile) { written += 1 }
            if place.isMultiple(of: LogTile.width) {
                try Task.checkCancellation()
                try progress(Double(place) / Double(tiles.count))
            }
        }
        // One flush for all: a checkpoint is not to be there before what it tells of.
        sync()
        try checkpointFile.write(note)
        for tile in tiles where tile.count == LogTile.width {
            // What was a part of it is in it now.
            let parts = "\(folder)/\(tile.path).p"
            if FileManager.default.fileExists(atPath: parts) {
                try? FileManager.default.removeItem(atPath: parts)
            }
        }
        return written + 1
    }

    private func write(_ tile: LogTile) throws -> Bool {
        let path = "\(folder)/\(tile.path)"
        let bytes = try content(of: tile)
        if let there = FileManager.default.contents(atPath: path) {
            guard there == Data(bytes) else {
                throw Failure(
                    .logInconsistent,
                    "this file of an earlier export is not what the ledger has in its place",
                    at: path,
                    suggestion:
                        "`kiln ledger verify` tells whether the ledger is whole; or name another folder")
            }
            return false
        }
        try makeFolder((path as NSString).deletingLastPathComponent)
        let temporary = path + ".new"
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: temporary))
        } catch {
            unlink(temporary)
            throw Failure(
                .diskFull, "this cannot be written", at: path,
                suggestion: "is there room on the disk? The same command goes on from here", cause: error)
        }
        guard rename(temporary, path) == 0 else {
            throw Failure(.notPermitted, "this cannot be put in its place", at: path)
        }
        return true
    }

    private func content(of tile: LogTile) throws -> [UInt8] {
        switch tile.kind {
        case .hashes: return try ledger.hashes(tile.nodes).flatMap(\.bytes)
        case .entries:
            let first = tile.index * LogTile.width
            let numbers = first..<first + tile.count
            let entries = try ledger.entries(.init(numbers: numbers), order: .oldestFirst, limit: tile.count)
            guard entries.map(\.number) == Array(numbers) else {
                throw Failure(
                    .logInconsistent,
                    "not all of the entries \(first) to \(first + tile.count - 1) are there",
                    suggestion: "`kiln ledger verify` tells which is the first that is missing")
            }
            return EntryBundle.encode(entries.map(\.bytes))
        }
    }

    private func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .notPermitted, "this folder cannot be made", at: path, suggestion: "name one of yours",
                cause: error)
        }
    }
}
