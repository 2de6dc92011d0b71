import Glibc
import ImageFormat
package import Model

extension ImageContents {
    /// What somebody who runs this image gets by taking the other one.
    package func difference(to other: ImageContents) -> ImageDifference {
        let held = Set(image.layers.map(\.digest))
        let sections = Set(image.layers.flatMap(\.sections))
        let missing = other.image.layers.filter { !held.contains($0.digest) }
        return ImageDifference(
            from: image.digest, to: other.image.digest, packages: packageChanges(other),
            files: fileChanges(other), config: configChanges(other.image.config),
            bytesToFetch: missing.reduce(0) { $0 + ImageContents.bytes(of: $1, without: sections) },
            layersToFetch: missing.count,
            layers: other.image.layers.count)
    }

    /// What a registry sends of a layer to somebody who holds these sections.
    private static func bytes(of layer: ImageLayer, without held: Set<ImageLayer.Section>) -> Int {
        layer.size - layer.sections.reduce(0) { $0 + (held.contains($1) ? $1.size : 0) }
    }

    private func packageChanges(_ other: ImageContents) -> [ImageDifference.Package] {
        func versions(_ packages: [InstalledPackage]) -> [String: String] {
            Dictionary(packages.map { ($0.name, $0.version) }) { "\($0), \($1)" }
        }
        let (before, after) = (versions(packages), versions(other.packages))
        return Set(before.keys).union(after.keys).sorted().compactMap { name in
            let (one, two) = (before[name], after[name])
            guard one != two else { return nil }
            return ImageDifference.Package(
                name: name, kind: one == nil ? .added : two == nil ? .removed : .changed, from: one, to: two)
        }
    }

    private func fileChanges(_ other: ImageContents) -> [ImageDifference.File] {
        let paths = Set(files.keys.map(FileName.init)).union(other.files.keys.map(FileName.init))
        return paths.map(\.text).sorted(by: TarEntry.precedes).compactMap { path in
            switch (files[path], other.files[path]) {
            case (nil, _): return ImageDifference.File(path: path, kind: .added)
            case (_, nil): return ImageDifference.File(path: path, kind: .removed)
            case (let one?, let two?):
                let what = changes(one, two, other)
                return what.isEmpty ? nil : ImageDifference.File(path: path, kind: .changed, what: what)
            }
        }
    }

    /// Times say nothing of what a file does, and are left out.
    private func changes(_ one: ImageFile, _ two: ImageFile, _ other: ImageContents) -> [String] {
        // What both take from one layer is the same without a look.
        if image.layers[one.layer].digest == other.image.layers[two.layer].digest { return [] }
        let (old, new) = (one.entry, two.entry)
        var what: [String] = []
        if old.kind != new.kind { what.append("\(old.kind.rawValue) → \(new.kind.rawValue)") }
        if old.mode != new.mode, new.kind != .symlink {
            what.append("mode \(old.modeText) → \(new.modeText)")
        }
        if (old.uid, old.gid) != (new.uid, new.gid) {
            what.append("owner \(old.uid):\(old.gid) → \(new.uid):\(new.gid)")
        }
        if old.link != new.link { what.append("target \(old.link) → \(new.link)") }
        if old.attributes != new.attributes { what.append("attributes") }
        if !isSame(one.content, two.content) { what.append("content") }
        return what
    }

    private func isSame(_ one: UnsafeRawBufferPointer, _ two: UnsafeRawBufferPointer) -> Bool {
        guard one.count == two.count, let left = one.baseAddress, let right = two.baseAddress else {
            return one.count == two.count
        }
        return memcmp(left, right, one.count) == 0
    }

    private func configChanges(_ after: ImageConfig) -> [String] {
        let before = image.config
        var changes: [String] = []
        func compare(_ name: String, _ one: String, _ two: String) {
            if one != two {
                changes.append("\(name) \(one.isEmpty ? "–" : one) → \(two.isEmpty ? "–" : two)")
            }
        }
        compare("architecture", before.architecture.rawValue, after.architecture.rawValue)
        compare("user", before.user, after.user)
        compare("command", before.command.joined(separator: " "), after.command.joined(separator: " "))
        compare("folder", before.workingDirectory, after.workingDirectory)
        for name in Set(before.environment.keys).union(after.environment.keys).sorted() {
            compare(name, before.environment[name] ?? "", after.environment[name] ?? "")
        }
        return changes
    }
}
