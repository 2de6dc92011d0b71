import Model
import TestKit
import Testing

@testable import WireAPI

@Suite struct SessionFrameTests {
    static let frames: [SessionFrame] = [
        .input([]), .input([0, 255, 10]), .inputEnd, .window(columns: 300, rows: 1000), .output([1]),
        .errors(Array(repeating: 7, count: SessionFrame.longest)), .note("schön"), .end([123, 125]),
    ]

    @Test(arguments: [1, 2, 3, 7, 4096, 1 << 20])
    func `frames come out as they went in, however they are cut`(size: Int) throws {
        let bytes = Self.frames.flatMap(\.bytes)
        var reader = SessionFrame.Reader()
        var found: [SessionFrame] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            found += try reader.take(bytes[start..<min(start + size, bytes.count)])
        }
        #expect(found == Self.frames)
    }

    @Test(
        arguments: [
            [0, 0, 0, 0, 0], [4, 0, 0, 0, 0], [255, 0, 0, 0, 1, 1], [1, 0, 1, 0, 1], [1, 255, 255, 255, 255],
            [2, 0, 0, 0, 1, 0], [3, 0, 0, 0, 3, 0, 0, 0], [3, 0, 0, 0, 5, 0, 0, 0, 0, 0],
        ] as [[UInt8]])
    func `what is no frame is refused at once, whatever length it claims`(bytes: [UInt8]) {
        var reader = SessionFrame.Reader()
        #expect(throws: Failure.self) { try reader.take(bytes) }
    }

    @Test func `no bytes whatever break the reader, and it keeps no more than one frame`() {
        var random = SeededGenerator(seed: 19)
        for _ in 1...2000 {
            var reader = SessionFrame.Reader()
            let kinds: [UInt8] = [1, 2, 3, 16, 17, 18, 19, .random(in: 0...255, using: &random)]
            for _ in 1...8 {
                let head = [kinds.randomElement(using: &random)!, 0, 0, .random(in: 0...1, using: &random)]
                let tail = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                guard (try? reader.take(head + tail)) != nil else { break }
            }
        }
    }
}
