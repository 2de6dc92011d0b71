import ImageFormat
import Model
import Ports

extension ImageStore {
    /// Opens a blob whose bytes are proven to be those that it is named by. Throws `storeDamaged` where they are not.
    /// `path` is where it lies.
    func proven(_ blob: Digest, at path: String) throws -> MappedBytes {
        let file = try MappedBytes(file: path)
        guard file.digest() == blob else {
            throw Failure(
                .storeDamaged, "a blob no longer has the digest that it is named by", at: path,
                suggestion: "`kiln store check --repair` removes it, and the next bake fetches it again")
        }
        return file
    }
}
