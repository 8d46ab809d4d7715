//! Painting: a sky, ridges in front of each other, soft lights, grain.
//!
//! Only sums, products and comparisons of numbers, so that every machine paints the same. No brushes, no fonts.

/// Ridges, from the farthest to the nearest.
const RIDGES: usize = 4;
/// Soft discs of light.
const LIGHTS: usize = 9;
/// Brightness that grain adds or takes at most, of 255.
const GRAIN: u8 = 5;
/// Steps of each colour in a poster: 216 colours, as many as fit beside transparency in 256.
const POSTER_STEPS: u8 = 6;

type Rgb = [f32; 3];

/// A picture being painted.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    /// Red, green and blue, from the top left.
    samples: Vec<u8>,
    dice: Dice,
}

/// A picture in few colours.
pub(super) struct Poster {
    pub(super) indices: Vec<u8>,
    /// Red, green and blue of each index.
    pub(super) palette: Vec<u8>,
    /// Alpha of the first indices; the others are opaque.
    pub(super) alphas: Vec<u8>,
}

impl Canvas {
    /// Paints a landscape; another seed gives another one.
    pub(super) fn landscape(width: u16, height: u16, seed: u64) -> Self {
        let (width, height) = (usize::from(width), usize::from(height));
        let mut canvas = Self { width, height, samples: vec![0; 3 * width * height], dice: Dice(seed) };
        canvas.sky();
        for ridge in 0..RIDGES {
            canvas.ridge((ridge + 1) as f32 / (RIDGES + 1) as f32);
        }
        for _ in 0..LIGHTS {
            canvas.light();
        }
        canvas
    }

    pub(super) fn rgb(&self) -> &[u8] {
        &self.samples
    }

    /// Makes every pixel a little brighter or darker, as a sensor would.
    pub(super) fn grained(mut self) -> Self {
        // Eight pixels for each throw.
        for pixels in self.samples.chunks_mut(8 * 3) {
            let throw = self.dice.throw().to_le_bytes();
            for (pixel, byte) in pixels.chunks_mut(3).zip(throw) {
                let grain = byte % (2 * GRAIN + 1);
                pixel.iter_mut().for_each(|sample| *sample = sample.saturating_add(grain).saturating_sub(GRAIN));
            }
        }
        self
    }

    /// Red, green, blue and alpha: an oval in the middle is opaque, its rim soft, the rest empty.
    pub(super) fn cut_out(&self) -> Vec<u8> {
        let (pixels, _) = self.samples.as_chunks::<3>();
        let rows = pixels.chunks(self.width).zip(0..self.height);
        let pixel = |(&[r, g, b], alpha): (&[u8; 3], u8)| if alpha == 0 { [0; 4] } else { [r, g, b, alpha] };
        rows.flat_map(|(row, y)| row.iter().zip((0..self.width).map(move |x| self.oval(x, y))).flat_map(pixel))
            .collect()
    }

    /// Rounds every colour to one of 216; outside of the oval is one transparent index.
    pub(super) fn poster(&self) -> Poster {
        let shade = |step: u8| step * (255 / (POSTER_STEPS - 1));
        let steps = || 0..POSTER_STEPS;
        let colours = steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| [r, g, b].map(shade))));
        let nearest = |sample: u8| sample.saturating_add(25) / (255 / (POSTER_STEPS - 1));
        let (pixels, _) = self.samples.as_chunks::<3>();
        let index = |(at, rgb): (usize, &[u8; 3])| match self.oval(at % self.width, at / self.width) {
            0 => 0,
            _ => rgb.iter().fold(0, |index, sample| index * POSTER_STEPS + nearest(*sample)) + 1,
        };
        Poster {
            indices: pixels.iter().enumerate().map(|(at, rgb)| index((at, rgb))).collect(),
            palette: std::iter::once([255, 0, 255]).chain(colours).flatten().collect(),
            alphas: vec![0],
        }
    }

    /// Alpha of a pixel: falls from 255 to 0 across the rim of an oval that touches the edges.
    fn oval(&self, x: usize, y: usize) -> u8 {
        let across = 2.0 * x as f32 / self.width as f32 - 1.0;
        let down = 2.0 * y as f32 / self.height as f32 - 1.0;
        ((1.0 - across * across - down * down) * 2500.0) as u8
    }

    /// Blends the colours of the four corners.
    fn sky(&mut self) {
        let [left, right, left_low, right_low] = std::array::from_fn(|_| self.dice.colour());
        for (y, row) in self.samples.chunks_mut(3 * self.width).enumerate() {
            let down = y as f32 / self.height as f32;
            let (from, to) = (blend(left, left_low, down), blend(right, right_low, down));
            for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                *pixel = blend(from, to, x as f32 / self.width as f32).map(|sample| sample as u8);
            }
        }
    }

    /// Fills everything below a line of hills with one colour that darkens downwards.
    fn ridge(&mut self, depth: f32) {
        let (colour, dark) = (self.dice.colour(), self.dice.colour().map(|sample| sample * 0.25));
        let hills: Vec<_> = (0..12).map(|_| self.dice.fraction()).collect();
        let top = |x: usize| {
            let along = x as f32 / self.width as f32 * (hills.len() - 1) as f32;
            let (hill, within) = (along as usize, along - along.floor());
            let smooth = within * within * (3.0 - 2.0 * within);
            let rise = hills[hill] + (hills[hill + 1] - hills[hill]) * smooth;
            ((depth + 0.18 * rise) * self.height as f32) as usize
        };
        let tops: Vec<_> = (0..self.width).map(top).collect();
        for (y, row) in self.samples.chunks_mut(3 * self.width).enumerate() {
            let shade = blend(colour, dark, y as f32 / self.height as f32).map(|sample| sample as u8);
            for (pixel, top) in row.as_chunks_mut::<3>().0.iter_mut().zip(&tops) {
                if y >= *top {
                    *pixel = shade;
                }
            }
        }
    }

    /// Adds a disc of light, brightest in its middle.
    fn light(&mut self) {
        let colour = self.dice.colour();
        let radius = (0.03 + 0.12 * self.dice.fraction()) * self.height as f32;
        let (middle_x, middle_y) =
            (self.dice.fraction() * self.width as f32, self.dice.fraction() * self.height as f32);
        let reach =
            |middle: f32, end: usize| ((middle - radius) as usize).min(end)..((middle + radius) as usize + 1).min(end);
        for y in reach(middle_y, self.height) {
            let row = &mut self.samples.as_chunks_mut::<3>().0[y * self.width..][..self.width];
            let down = (y as f32 - middle_y) / radius;
            for x in reach(middle_x, self.width) {
                let across = (x as f32 - middle_x) / radius;
                let strength = (1.0 - across * across - down * down).max(0.0);
                row[x] = blend(row[x].map(f32::from), colour, strength).map(|sample| sample as u8);
            }
        }
    }
}

fn blend(from: Rgb, to: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|i| from[i] + (to[i] - from[i]) * share)
}

/// A counter whose steps are mixed until they look random: SplitMix64 (Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, but without, 1.
    fn fraction(&mut self) -> f32 {
        (self.throw() >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn colour(&mut self) -> Rgb {
        std::array::from_fn(|_| 255.0 * self.fraction())
    }
}
