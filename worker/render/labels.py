"""The renderer's own words in the languages that it knows; English for others. Plural rules are those of CLDR.

Figures are European in all languages, as the payload's own figures and the numbers of the steps usually are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_REASON_CODES = (
    "asset-missing",
    "asset-corrupt",
    "asset-unsupported",
    "asset-too-large",
    "asset-too-many-pixels",
    "asset-too-many-frames",
    "asset-checksum",
    "asset-page-missing",
)


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of one language. ``counts`` has the forms of "3 steps" in the order of the language's plural classes."""

    untitled: str
    step: str
    counts: tuple[str, ...]
    plural: Callable[[int], int]
    unavailable: str
    reasons: tuple[str, ...]  # of unavailable pictures, in the order of ``_REASON_CODES``

    def heading(self, number: int) -> str:
        """The heading of a step without words."""
        return self.step.format(number)

    def count(self, steps: int) -> str:
        """The number of steps."""
        return self.counts[self.plural(steps)].format(steps)

    def reason(self, code: str) -> str:
        """Why a picture is unavailable, by the code of its error."""
        return dict(zip(_REASON_CODES, self.reasons, strict=True)).get(code, self.unavailable)


def labels_for(language: str | None) -> Labels:
    """Returns the labels for a normalised language, by its longest known prefix; English without one."""
    tag = {"zh-HK": "zh-Hant"}.get(language or "", language or "")
    while tag:
        if tag in _LABELS:
            return _LABELS[tag]
        tag = tag.rpartition("-")[0]
    return _LABELS["en"]


def _one(_count: int) -> int:
    return 0


def _two(count: int) -> int:
    return int(count != 1)


def _french(count: int) -> int:
    return int(count > 1)


def _polish(count: int) -> int:
    if count == 1:
        return 0
    return 1 if count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14) else 2


def _east_slavic(count: int) -> int:
    if count % 10 == 1 and count % 100 != 11:
        return 0
    return 1 if count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14) else 2


def _hebrew(count: int) -> int:
    return {1: 0, 2: 1}.get(count, 2)


def _arabic(count: int) -> int:
    """One, two, few (3 to 10), many (11 to 99), other (100 to 102)."""
    if count in (1, 2):
        return count - 1
    rest = count % 100
    return 2 if 3 <= rest <= 10 else 3 if rest >= 11 else 4


_LABELS = {
    "en": Labels(
        "Untitled", "Step {}", ("{} step", "{} steps"), _two, "not available",
        ("not found", "damaged", "not a readable picture", "file too large", "too many pixels", "too many frames",
         "checksum does not match", "no such page"),
    ),
    "de": Labels(
        "Ohne Titel", "Schritt {}", ("{} Schritt", "{} Schritte"), _two, "nicht verfügbar",
        ("nicht gefunden", "beschädigt", "kein lesbares Bild", "Datei zu groß", "zu viele Pixel",
         "zu viele Einzelbilder", "Prüfsumme stimmt nicht", "Seite nicht vorhanden"),
    ),
    "fr": Labels(
        "Sans titre", "Étape {}", ("{} étape", "{} étapes"), _french, "indisponible",
        ("introuvable", "endommagée", "image illisible", "fichier trop volumineux", "trop de pixels",
         "trop d’images", "somme de contrôle incorrecte", "page inexistante"),
    ),
    "es": Labels(
        "Sin título", "Paso {}", ("{} paso", "{} pasos"), _two, "no disponible",
        ("no encontrada", "dañada", "imagen ilegible", "archivo demasiado grande", "demasiados píxeles",
         "demasiados fotogramas", "la suma de comprobación no coincide", "la página no existe"),
    ),
    "pt": Labels(
        "Sem título", "Passo {}", ("{} passo", "{} passos"), _french, "indisponível",
        ("não encontrada", "danificada", "imagem ilegível", "arquivo grande demais", "pixels demais",
         "quadros demais", "a soma de verificação não confere", "a página não existe"),
    ),
    "it": Labels(
        "Senza titolo", "Passo {}", ("{} passo", "{} passi"), _two, "non disponibile",
        ("non trovata", "danneggiata", "immagine illeggibile", "file troppo grande", "troppi pixel",
         "troppi fotogrammi", "checksum non corrispondente", "la pagina non esiste"),
    ),
    "nl": Labels(
        "Zonder titel", "Stap {}", ("{} stap", "{} stappen"), _two, "niet beschikbaar",
        ("niet gevonden", "beschadigd", "geen leesbare afbeelding", "bestand te groot", "te veel pixels",
         "te veel frames", "controlegetal klopt niet", "pagina bestaat niet"),
    ),
    "pl": Labels(
        "Bez tytułu", "Krok {}", ("{} krok", "{} kroki", "{} kroków"), _polish, "niedostępny",
        ("nie znaleziono", "uszkodzony", "nieczytelny obraz", "plik jest za duży", "za dużo pikseli",
         "za dużo klatek", "suma kontrolna się nie zgadza", "brak takiej strony"),
    ),
    "ru": Labels(
        "Без названия", "Шаг {}", ("{} шаг", "{} шага", "{} шагов"), _east_slavic, "недоступно",
        ("не найдено", "повреждено", "изображение не читается", "файл слишком большой", "слишком много пикселей",
         "слишком много кадров", "контрольная сумма не совпадает", "нет такой страницы"),
    ),
    "uk": Labels(
        "Без назви", "Крок {}", ("{} крок", "{} кроки", "{} кроків"), _east_slavic, "недоступно",
        ("не знайдено", "пошкоджено", "зображення не читається", "файл завеликий", "забагато пікселів",
         "забагато кадрів", "контрольна сума не збігається", "немає такої сторінки"),
    ),
    "tr": Labels(
        "Başlıksız", "Adım {}", ("{} adım",), _one, "kullanılamıyor",
        ("bulunamadı", "bozuk", "okunabilir bir resim değil", "dosya çok büyük", "çok fazla piksel",
         "çok fazla kare", "sağlama toplamı uyuşmuyor", "böyle bir sayfa yok"),
    ),
    "ar": Labels(
        "بلا عنوان", "الخطوة {}", ("خطوة واحدة", "خطوتان", "{} خطوات", "{} خطوة", "{} خطوة"), _arabic, "غير متاحة",
        ("غير موجودة", "تالفة", "صورة غير مقروءة", "الملف كبير جدًا", "عدد البكسلات كبير جدًا",
         "عدد الإطارات كبير جدًا", "المجموع الاختباري غير مطابق", "الصفحة غير موجودة"),
    ),
    "fa": Labels(
        "بدون عنوان", "گام {}", ("{} گام",), _one, "در دسترس نیست",
        ("پیدا نشد", "آسیب‌دیده", "تصویر خواندنی نیست", "پرونده بیش از حد بزرگ است", "پیکسل‌ها بیش از حد",
         "فریم‌ها بیش از حد", "جمع کنترلی مطابقت ندارد", "چنین صفحه‌ای وجود ندارد"),
    ),
    "he": Labels(
        "ללא כותרת", "שלב {}", ("שלב אחד", "שני שלבים", "{} שלבים"), _hebrew, "לא זמינה",
        ("לא נמצאה", "פגומה", "תמונה שאינה קריאה", "הקובץ גדול מדי", "יותר מדי פיקסלים", "יותר מדי פריימים",
         "סכום הביקורת אינו תואם", "העמוד לא קיים"),
    ),
    "hi": Labels(
        "शीर्षकहीन", "चरण {}", ("{} चरण",), _one, "उपलब्ध नहीं",
        ("नहीं मिला", "क्षतिग्रस्त", "पढ़ने योग्य चित्र नहीं", "फ़ाइल बहुत बड़ी है", "बहुत अधिक पिक्सेल",
         "बहुत अधिक फ़्रेम", "चेकसम मेल नहीं खाता", "ऐसा पृष्ठ नहीं है"),
    ),
    "th": Labels(
        "ไม่มีชื่อ", "ขั้นตอนที่ {}", ("{} ขั้นตอน",), _one, "ไม่พร้อมใช้งาน",
        ("ไม่พบ", "เสียหาย", "ไม่ใช่ภาพที่อ่านได้", "ไฟล์ใหญ่เกินไป", "พิกเซลมากเกินไป", "เฟรมมากเกินไป",
         "ผลรวมตรวจสอบไม่ตรงกัน", "ไม่มีหน้านี้"),
    ),
    "vi": Labels(
        "Không có tiêu đề", "Bước {}", ("{} bước",), _one, "không khả dụng",
        ("không tìm thấy", "bị hỏng", "không phải ảnh đọc được", "tệp quá lớn", "quá nhiều điểm ảnh",
         "quá nhiều khung hình", "mã kiểm tra không khớp", "không có trang này"),
    ),
    "id": Labels(
        "Tanpa judul", "Langkah {}", ("{} langkah",), _one, "tidak tersedia",
        ("tidak ditemukan", "rusak", "bukan gambar yang dapat dibaca", "berkas terlalu besar",
         "terlalu banyak piksel", "terlalu banyak bingkai", "checksum tidak cocok", "halaman tidak ada"),
    ),
    "zh-Hans": Labels(
        "无标题", "步骤 {}", ("{} 个步骤",), _one, "不可用",
        ("未找到", "已损坏", "无法读取的图片", "文件过大", "像素过多", "帧数过多", "校验和不匹配", "页面不存在"),
    ),
    "zh-Hant": Labels(
        "無標題", "步驟 {}", ("{} 個步驟",), _one, "無法使用",
        ("找不到", "已損壞", "無法讀取的圖片", "檔案過大", "像素過多", "影格過多", "總和檢查碼不符", "頁面不存在"),
    ),
    "ja": Labels(
        "無題", "ステップ {}", ("{} ステップ",), _one, "利用できません",
        ("見つかりません", "破損しています", "読み取れない画像", "ファイルが大きすぎます", "画素数が多すぎます",
         "フレームが多すぎます", "チェックサムが一致しません", "該当ページなし"),
    ),
    "ko": Labels(
        "제목 없음", "{}단계", ("{}단계",), _one, "사용할 수 없음",
        ("찾을 수 없음", "손상됨", "읽을 수 없는 그림", "파일이 너무 큼", "픽셀이 너무 많음", "프레임이 너무 많음",
         "체크섬 불일치", "해당 페이지 없음"),
    ),
}  # fmt: skip
LANGUAGES = tuple(_LABELS)
"""Languages with labels."""
