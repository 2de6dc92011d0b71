internal import Foundation
internal import Model
package import Trust

/// A file that the newest checkpoint of a log lies in, best on another machine's disk. Replaced whole or not at all.
package struct CheckpointFile: Hashable, Sendable {
    package let path: String

    package init(_ path: String) { self.path = path }

    /// The checkpoint in it; nil where there is no file. Throws where something else is in it than a checkpoint of this
    /// log, signed by one of its keys.
    package func read(origin: String, keys: [PublicKey]) throws -> Checkpoint? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        guard let file = FileHandle(forReadingAtPath: path),
            let data = try? file.read(upToCount: SignedNote.Limit.bytes + 1) ?? Data()
        else { throw Failure(.notPermitted, "this checkpoint cannot be read", at: path) }
        try? file.close()
        do {
            return try Checkpoint(opening: Array(data), origin: origin, keys: keys)
        } catch let failure as Failure {
            throw CheckpointFile.foreign(failure, path)
        }
    }

    private static func foreign(_ failure: Failure, _ path: String) -> Failure {
        Failure(
            failure.code, failure.message, at: path,
            suggestion: "this is no checkpoint of this ledger: name another file, or move this one away")
    }

    /// The folder has to be there: one that is not mounted is not to be written into.
    package func write(_ note: SignedNote) throws {
        let folder = (path as NSString).deletingLastPathComponent
        let temporary = "\(path).\(getpid())-\(UInt32.random(in: 0 ... .max)).new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure("cannot be made") }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
        do {
            try handle.write(contentsOf: note.bytes)
            try handle.synchronize()
        } catch {
            unlink(temporary)
            throw Failure(
                .diskFull, "the checkpoint cannot be written here", at: path,
                suggestion: "is there room on the disk?", cause: error)
        }
        guard rename(temporary, path) == 0 else {
            let failed = failure("cannot be put in its place")
            unlink(temporary)
            throw failed
        }
        let place = open(folder.isEmpty ? "." : folder, O_RDONLY | O_CLOEXEC)
        guard place >= 0 else { return }
        fsync(place)
        close(place)
    }

    private func failure(_ what: String) -> Failure {
        let number = errno
        return Failure(
            number == ENOENT ? .fileMissing : .notPermitted,
            "the checkpoint \(what): \(String(cString: strerror(number)))", at: path,
            suggestion: number == ENOENT ? "make its folder, or mount the disk that it is on" : nil)
    }
}

extension Checkpoint {
    /// Reads a checkpoint of the log `origin` that one of these keys signed.
    package init(opening note: [UInt8], origin: String, keys: [PublicKey]) throws {
        let signers = try keys.map { try NoteKey(name: origin, publicKey: $0) }
        let parsed = try SignedNote(parsing: note)
        // A log's name is told before its keys are tried: most often it is just another one.
        let stated = try Checkpoint(parsing: parsed.text)
        guard stated.origin == origin else {
            throw Failure(
                .badSignature, "the checkpoint is of the log \(stated.origin), and not of \(origin)")
        }
        guard let signer = try parsed.signers(signers).first else {
            throw Failure(
                .badSignature, "no key of the log \(origin) that is known here signed the checkpoint")
        }
        try self.init(opening: note, with: signer)
    }
}
