import Foundation
import ImageFormat
import Model
import Testing
import TestKit

@Suite struct SynthesisTests {
    static let libraries = "/usr/lib/\(Architecture.native.multiarch)"

    @Test func `ldconfig reads the cache in the loader's own order`() throws {
        let folder = try TemporaryFolder()
        var found: [(soname: String, path: String)] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: SynthesisTests.libraries).sorted()
        where name.contains(".so.") {
            let path = SynthesisTests.libraries + "/" + name
            guard let bytes = try? MappedBytes(file: path), let object = bytes.withBytes({ ELFObject($0) }),
                let soname = object.soname, soname == name
            else { continue }
            #expect(object.elfClass == .bits64)
            found.append((soname, path))
        }
        #expect(found.count > 10)
        var random = SeededGenerator(1)
        let shuffled = found.shuffled(using: &random)
        let cache = LoaderCache.build(libraries: shuffled, architecture: .native)
        #expect(cache == LoaderCache.build(libraries: found, architecture: .native))
        try write(cache, folder("cache"))
        let listing = try #require(try run("ldconfig", "-p", "-C", folder("cache")))
        let names = listing.split(separator: "\n").dropFirst().compactMap { $0.split(separator: " ").first }
            .map { String($0.drop { $0 == "\t" }) }.filter { $0.contains(".so") }
        #expect(Set(names) == Set(found.map(\.soname)))
        // The host's cache holds the same libraries, so ours must agree on the order of those in both.
        if let host = try run("ldconfig", "-p") {
            let common = host.split(separator: "\n").compactMap { $0.split(separator: " ").first }
                .map { String($0.drop { $0 == "\t" }) }.filter(Set(names).contains)
            var seen: Set<String> = []
            let unique = common.filter { seen.insert($0).inserted }
            #expect(unique == names.filter(seen.contains))
        }
    }

    /// The loader finds the libraries by the cache alone: they lie where it would never look.
    @Test func `a program starts by the cache`() throws {
        let folder = try TemporaryFolder()
        let program = "/bin/ls"
        let files = FileManager.default
        let names = try files.contentsOfDirectory(atPath: SynthesisTests.libraries).filter {
            $0.contains(".so")
        }
        for part in ["bin", "odd", "etc"] {
            try files.createDirectory(atPath: folder(part), withIntermediateDirectories: true)
        }
        var pending = [program]
        var copied: Set<String> = []
        while let path = pending.popLast() {
            let object = try #require(try MappedBytes(file: path).withBytes { ELFObject($0) })
            for name in object.needed where copied.insert(name).inserted && !name.hasPrefix("ld-linux") {
                pending.append(SynthesisTests.libraries + "/" + name)
                try write(try contents(SynthesisTests.libraries + "/" + name), folder("odd/" + name))
            }
        }
        try write(try contents(program), folder("bin/ls"))
        let loader =
            Architecture.native == .amd64 ? "/lib64/ld-linux-x86-64.so.2" : "/lib/ld-linux-aarch64.so.1"
        let home = folder(String(loader.dropFirst()))
        try files.createDirectory(
            atPath: String(home[..<home.lastIndex(of: "/")!]), withIntermediateDirectories: true)
        try write(try contents(loader), home)
        _ = try run("chmod", "-R", "755", folder.path)
        #expect(try run("chroot", folder.path, "/bin/ls", "/odd") == nil)
        let cache = LoaderCache.build(libraries: names.map { ($0, "/odd/" + $0) }, architecture: .native)
        try write(cache, folder("etc/ld.so.cache"))
        let listed = try #require(try run("chroot", folder.path, "/bin/ls", "/odd"))
        #expect(listed.contains("libc.so.6"))
    }

    @Test func `damaged ELF files crash nothing`() throws {
        let bytes = try contents("/bin/true")
        #expect(bytes.withUnsafeBytes { ELFObject($0) }?.needed == ["libc.so.6"])
        var random = SeededGenerator(2)
        for _ in 0..<2000 {
            var copy = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count))))
            for _ in 0..<4 where !copy.isEmpty {
                let place = Int(random.next() % UInt64(min(copy.count, 1200)))
                copy[place] = UInt8(truncatingIfNeeded: random.next())
            }
            _ = copy.withUnsafeBytes { ELFObject($0) }
        }
    }

    @Test func `certificate names are those of OpenSSL`() throws {
        let folder = try TemporaryFolder()
        let subjects = [
            "/C=DE/O=Two  Spaces /CN= Ünï Cödé", "/CN=x+OU=MULTI+O=Value", "/CN=",
            "/emailAddress=A@B.example/CN=" + String(repeating: "L", count: 60),
        ]
        var paths: [String] = []
        for (number, subject) in subjects.enumerated() {
            let path = folder("\(number).pem")
            let made = try run(
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-utf8",
                "-multivalue-rdn", "-subj", subject, "-keyout", folder("key"), "-out", path)
            if made != nil { paths.append(path) }
        }
        #expect(paths.count >= 3)
        let mozilla = "/usr/share/ca-certificates/mozilla"
        paths += ((try? FileManager.default.contentsOfDirectory(atPath: mozilla)) ?? []).map {
            mozilla + "/" + $0
        }
        let script = "for f in \"$@\"; do openssl x509 -subject_hash -noout -in \"$f\"; done"
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script, "sh"] + paths
        process.standardOutput = pipe
        try process.run()
        let expected = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let hashes = try paths.map { try CertificateName.hash(pem: contents($0)) }
        #expect(hashes == expected.split(separator: "\n").map(String.init))
    }

    @Test func `damaged certificates are refused and crash nothing`() throws {
        let folder = try TemporaryFolder()
        _ = try #require(
            try run(
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj",
                "/C=DE/CN=x", "-keyout", folder("key"), "-out", folder("pem")))
        let der = try CertificateName.decode(contents(folder("pem")))
        var random = SeededGenerator(4)
        for _ in 0..<2000 {
            var copy = der
            copy[Int(random.next() % UInt64(copy.count))] = UInt8(truncatingIfNeeded: random.next())
            if random.next() % 4 == 0 { copy.removeLast(Int(random.next() % UInt64(copy.count))) }
            _ = try? CertificateName.hash(der: copy)
        }
        #expect(code { _ = try CertificateName.hash(pem: Array("hello".utf8)) } == .corruptArchive)
    }
}
