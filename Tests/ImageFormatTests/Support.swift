import Foundation
import ImageFormat
import Model
import TestKit

extension SeededGenerator {
    init(_ seed: UInt64) { self.init(seed: seed) }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(count + 8)
        while output.count < count { withUnsafeBytes(of: next()) { output += $0 } }
        return Array(output[..<count])
    }
}

/// Runs a program and returns what it wrote; nil where it failed.
func run(_ program: String, _ arguments: String...) throws -> String? {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? String(decoding: output, as: UTF8.self) : nil
}

func contents(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

func write(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

/// A tar of these members, with the end marker.
func tar(_ members: [(TarEntry, String)]) -> [UInt8] {
    var output: [UInt8] = []
    for (entry, text) in members {
        var entry = entry
        if entry.kind == .file { entry.size = text.utf8.count }
        output += TarWriter.header(for: entry) + Array(text.utf8) + TarWriter.padding(after: text.utf8.count)
    }
    return output + TarWriter.trailer
}

func readTar(_ bytes: [UInt8]) throws -> [(TarEntry, [UInt8])] {
    try bytes.withUnsafeBytes { buffer in
        var reader = TarReader(buffer)
        var output: [(TarEntry, [UInt8])] = []
        while let (entry, content) = try reader.next() { output.append((entry, Array(buffer[content]))) }
        return output
    }
}

func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
    final class Box { var bytes: [UInt8] = [] }
    let box = Box()
    var writer = try GzipWriter { box.bytes += $0 }
    try writer.write(bytes)
    try writer.finish()
    return box.bytes
}

func decompress(_ bytes: [UInt8], limit: Int = 1 << 30) throws -> [UInt8] {
    try bytes.withUnsafeBytes {
        try Decompressor.decompress($0, limit: limit, spoolFolder: NSTemporaryDirectory()).withBytes {
            Array($0)
        }
    }
}

/// Bytes mapped as a layer.
func mapped(_ bytes: [UInt8]) throws -> MappedBytes {
    try bytes.withUnsafeBytes {
        try Decompressor.decompress($0, limit: 1 << 30, spoolFolder: NSTemporaryDirectory())
    }
}

func code(_ body: () throws -> Void) -> Failure.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? Failure)?.code
    }
}
