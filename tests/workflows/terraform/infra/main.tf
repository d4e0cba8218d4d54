resource "bucket"
resource "queue"
